// Writing keeps the spelling of the config that was read wherever it still says the same: an integer stays an integer,
// a list a list, and an absent field stays absent while its default holds.

#include <algorithm>
#include <nlohmann/json.hpp>

#include "core/base/sha256.h"
#include "core/model/unet_config.h"

namespace espalier::model {
namespace {

using Json = nlohmann::json;  // std::map underneath: keys come out sorted

bool uniform(const std::vector<int64_t>& row) {
  return std::adjacent_find(row.begin(), row.end(), std::not_equal_to<>()) == row.end();
}

/// An integer while all entries agree and the field was not a list before.
Json spread_or_list(const Json& before, const std::vector<int64_t>& row) {
  if (uniform(row) && !row.empty() && !before.is_array()) return row.front();
  return row;
}

/// Depth entries of one side; 1 for a stage without attention, as the published files have it.
Json depth_list(const std::vector<std::vector<int64_t>>& rows) {
  Json list = Json::array();
  for (const auto& row : rows) {
    if (row.empty())
      list.push_back(1);
    else if (uniform(row))
      list.push_back(row.front());
    else
      list.push_back(row);
  }
  return list;
}

void write_depths(Json& out, const UNetConfig& config) {
  Json down = depth_list(config.transformer_layers_per_block);
  if (config.mid_block_type == "UNetMidBlock2DCrossAttn" && config.transformer_layers_per_block.back().empty())
    down.back() = config.mid_transformer_layers;
  const Json up = depth_list(config.reverse_transformer_layers_per_block);
  const bool nested = std::any_of(down.begin(), down.end(), [](const Json& e) { return e.is_array(); });
  // Absent, the up depths are the down depths reversed, each spread over its stage.
  bool mirrored = !nested;
  for (size_t i = 0; mirrored && i < up.size(); ++i)
    mirrored = config.reverse_transformer_layers_per_block[i].empty() || up[i] == down[up.size() - 1 - i];
  const bool one = !nested && std::all_of(down.begin(), down.end(), [&](const Json& e) { return e == down.front(); });
  const Json before = out.value("transformer_layers_per_block", Json());
  out["transformer_layers_per_block"] = one && !before.is_array() ? down.front() : down;
  if (!mirrored)
    out["reverse_transformer_layers_per_block"] = up;
  else if (out.contains("reverse_transformer_layers_per_block"))
    out["reverse_transformer_layers_per_block"] = nullptr;
}

Json number(double value) {
  const auto whole = static_cast<int64_t>(value);
  return static_cast<double>(whole) == value ? Json(whole) : Json(value);
}

Json optional_size(int64_t value) { return value == 0 ? Json(nullptr) : Json(value); }

Json sample_size(const UNetConfig& config) {
  if (config.sample_width != 0) return Json::array({config.sample_size, config.sample_width});
  return optional_size(config.sample_size);
}

/// Takes out what `before` does not have and diffusers would assume anyway.
void drop_defaults(Json& out, const Json& before) {
  static const Json defaults = {{"sample_size", nullptr},
                                {"in_channels", 4},
                                {"out_channels", 4},
                                {"flip_sin_to_cos", true},
                                {"freq_shift", 0},
                                {"mid_block_type", "UNetMidBlock2DCrossAttn"},
                                {"layers_per_block", 2},
                                {"downsample_padding", 1},
                                {"norm_eps", 1e-5},
                                {"norm_num_groups", 32},
                                {"cross_attention_dim", 1280},
                                {"transformer_layers_per_block", 1},
                                {"attention_head_dim", 8},
                                {"use_linear_projection", false}};
  for (const auto& [name, value] : defaults.items())
    if (!before.contains(name) && out[name] == value) out.erase(name);
}

}  // namespace

std::string write_config(const UNetConfig& config) {
  Json out = config.raw.empty() ? Json{{"_class_name", "UNet2DConditionModel"}} : Json::parse(config.raw);
  const Json before = out;
  out["sample_size"] = sample_size(config);
  if (before.contains("sample_size") && before["sample_size"].is_array())
    out["sample_size"] = Json::array({config.default_height(), config.default_width()});
  out["in_channels"] = config.in_channels;
  out["out_channels"] = config.out_channels;
  out["flip_sin_to_cos"] = config.flip_sin_to_cos;
  out["freq_shift"] = number(config.freq_shift);
  out["down_block_types"] = config.down_block_types;
  out["up_block_types"] = config.up_block_types;
  out["mid_block_type"] = config.mid_block_type ? Json(*config.mid_block_type) : Json(nullptr);
  out["block_out_channels"] = config.block_out_channels;
  out["layers_per_block"] = spread_or_list(before.value("layers_per_block", Json()), config.layers_per_block);
  out["downsample_padding"] = config.downsample_padding;
  out["norm_eps"] = config.norm_eps;
  out["norm_num_groups"] = config.norm_num_groups;
  out["cross_attention_dim"] = spread_or_list(before.value("cross_attention_dim", Json()), config.cross_attention_dim);
  out["attention_head_dim"] = spread_or_list(before.value("attention_head_dim", Json()), config.heads);
  out["use_linear_projection"] = config.use_linear_projection;
  const auto keep_or_set = [&](const char* name, Json value) {
    if (!value.is_null() || before.contains(name)) out[name] = std::move(value);
  };
  keep_or_set("addition_embed_type", config.has_text_time() ? Json(config.addition_embed_type) : Json(nullptr));
  keep_or_set("addition_time_embed_dim", optional_size(config.addition_time_embed_dim));
  keep_or_set("projection_class_embeddings_input_dim", optional_size(config.projection_class_embeddings_input_dim));
  write_depths(out, config);
  if (!config.raw.empty()) drop_defaults(out, before);
  return out.dump(2) + "\n";
}

std::string structure_hash(const UNetConfig& config) {
  const size_t stages = config.block_out_channels.size();
  const bool cross_mid = config.mid_block_type == "UNetMidBlock2DCrossAttn";
  // Heads and context width of a stage that attends nowhere mean nothing; they are left out so that two spellings of
  // one structure have one hash.
  std::vector<int64_t> heads = config.heads, context = config.cross_attention_dim;
  for (size_t i = 0; i < stages; ++i) {
    const bool down = !config.transformer_layers_per_block[i].empty();
    const bool up = !config.reverse_transformer_layers_per_block[stages - 1 - i].empty();
    if (!down && !up && !(cross_mid && i + 1 == stages)) heads[i] = context[i] = 0;
  }
  Json fields = {
      {"in_channels", config.in_channels},
      {"out_channels", config.out_channels},
      {"flip_sin_to_cos", config.flip_sin_to_cos},
      {"freq_shift", number(config.freq_shift)},
      {"down_block_types", config.down_block_types},
      {"up_block_types", config.up_block_types},
      {"mid_block_type", config.mid_block_type ? Json(*config.mid_block_type) : Json(nullptr)},
      {"block_out_channels", config.block_out_channels},
      {"layers_per_block", config.layers_per_block},
      {"downsample_padding", config.downsample_padding},
      {"norm_eps", config.norm_eps},
      {"norm_num_groups", config.norm_num_groups},
      {"cross_attention_dim", context},
      {"attention_head_dim", heads},
      {"transformer_layers_per_block", config.transformer_layers_per_block},
      {"reverse_transformer_layers_per_block", config.reverse_transformer_layers_per_block},
      {"mid_transformer_layers", cross_mid ? config.mid_transformer_layers : 0},
      {"use_linear_projection", config.use_linear_projection},
      {"addition_embed_type", config.has_text_time() ? Json("text_time") : Json(nullptr)},
      {"addition_time_embed_dim", config.has_text_time() ? config.addition_time_embed_dim : 0},
      {"projection_class_embeddings_input_dim", config.has_text_time() ? config.projection_class_embeddings_input_dim : 0}};
  return "sha256:" + sha256_hex(fields.dump());
}

}  // namespace espalier::model
