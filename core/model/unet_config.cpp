// Parsing goes on after a fault, with a value that keeps the later checks meaningful, so that one run names them all.

#include "core/model/unet_config.h"

#include <fmt/format.h>

#include <algorithm>

#include "core/base/error.h"
#include "core/base/files.h"
#include "core/base/text.h"
#include "core/model/config_fields.h"

namespace espalier::model {
namespace {

constexpr size_t kMaxStages = 16;
constexpr int64_t kMaxLayers = 64, kMaxDepth = 512, kMaxBlocks = 4096;
constexpr std::string_view kCrossMid = "UNetMidBlock2DCrossAttn";

void check_choice(FieldReader& read, std::string_view field, const std::string& value, const std::vector<std::string>& choices) {
  if (std::find(choices.begin(), choices.end(), value) != choices.end()) return;
  read.fault(field, fmt::format("'{}' has \"{}\"; implemented are {}{}", field, printable(value, 60), join(choices, ", "),
                                did_you_mean(value, choices)));
}

void read_block_types(FieldReader& read, UNetConfig& config) {
  config.down_block_types = {"CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"};
  config.up_block_types = {"UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"};
  config.block_out_channels = {320, 640, 1280, 1280};
  if (const auto types = read.strings("down_block_types")) config.down_block_types = *types;
  if (const auto types = read.strings("up_block_types")) config.up_block_types = *types;
  if (const auto channels = read.integers("block_out_channels", 1, kSizeLimit - 1)) config.block_out_channels = *channels;
  for (const std::string& type : config.down_block_types)
    check_choice(read, "down_block_types", type, {"DownBlock2D", "CrossAttnDownBlock2D"});
  for (const std::string& type : config.up_block_types)
    check_choice(read, "up_block_types", type, {"UpBlock2D", "CrossAttnUpBlock2D"});
  config.mid_block_type = std::string(kCrossMid);
  if (read.has("mid_block_type") && !read.given("mid_block_type")) config.mid_block_type = std::nullopt;
  if (read.given("mid_block_type")) {
    if (const auto type = read.string("mid_block_type")) {
      check_choice(read, "mid_block_type", *type, {std::string(kCrossMid), "UNetMidBlock2D"});
      config.mid_block_type = *type;
    }
  }
  const size_t stages = config.down_block_types.size();
  if (stages == 0 || stages > kMaxStages)
    read.fault("down_block_types", fmt::format("'down_block_types' has {} entries; 1 to {} are possible", stages, kMaxStages));
  if (config.up_block_types.size() != stages)
    read.fault("up_block_types",
               fmt::format("'up_block_types' has {} entries, 'down_block_types' has {}", config.up_block_types.size(), stages));
  if (config.block_out_channels.size() != stages)
    read.fault("block_out_channels", fmt::format("'block_out_channels' has {} entries, 'down_block_types' has {}",
                                                 config.block_out_channels.size(), stages));
}

void read_sample_size(FieldReader& read, UNetConfig& config, const io::JsonValue& object) {
  const io::JsonValue* value = object.find("sample_size");
  if (value == nullptr || value->is_null()) return;
  if (!value->is_array()) {
    config.sample_size = read.integer("sample_size", 1, kSizeLimit - 1).value_or(0);
    return;
  }
  const auto size = read.integers("sample_size", 1, kSizeLimit - 1);
  if (!size) return;
  if (size->size() != 2) return read.fault("sample_size", "'sample_size' must be an integer, null, or [height, width]");
  config.sample_size = (*size)[0];
  config.sample_width = (*size)[1] == (*size)[0] ? 0 : (*size)[1];
}

void read_scalars(FieldReader& read, UNetConfig& config) {
  const int64_t high = kSizeLimit - 1;
  config.in_channels = read.integer("in_channels", 1, high).value_or(config.in_channels);
  config.out_channels = read.integer("out_channels", 1, high).value_or(config.out_channels);
  config.flip_sin_to_cos = read.boolean("flip_sin_to_cos").value_or(config.flip_sin_to_cos);
  config.freq_shift = read.number("freq_shift").value_or(config.freq_shift);
  config.norm_num_groups = read.integer("norm_num_groups", 1, high).value_or(config.norm_num_groups);
  config.norm_eps = read.number("norm_eps").value_or(config.norm_eps);
  if (!(config.norm_eps > 0)) read.fault("norm_eps", "'norm_eps' must be above 0");
  config.use_linear_projection = read.boolean("use_linear_projection").value_or(config.use_linear_projection);
  if (read.given("upcast_attention")) config.upcast_attention = read.boolean("upcast_attention").value_or(false);
  if (read.given("downsample_padding"))
    config.downsample_padding = read.integer("downsample_padding", 0, 1).value_or(config.downsample_padding);
  else if (read.has("downsample_padding"))
    read.fault("downsample_padding", "'downsample_padding' must be 0 or 1, not null");
  if (read.given("time_embedding_dim") && !config.block_out_channels.empty()) {
    const auto width = read.integer("time_embedding_dim", 1, high);
    if (width && *width != config.time_embed_dim())
      read.fault("time_embedding_dim", fmt::format("'time_embedding_dim' is {}, but only four times the first block_out_channels"
                                                   " ({}) is implemented",
                                                   *width, config.time_embed_dim()));
  }
}

void read_added_embedding(FieldReader& read, UNetConfig& config) {
  if (read.given("addition_time_embed_dim"))
    config.addition_time_embed_dim = read.integer("addition_time_embed_dim", 1, kSizeLimit - 1).value_or(0);
  if (read.given("projection_class_embeddings_input_dim"))
    config.projection_class_embeddings_input_dim =
        read.integer("projection_class_embeddings_input_dim", 1, kSizeLimit - 1).value_or(0);
  if (!read.given("addition_embed_type")) return;
  const auto type = read.string("addition_embed_type");
  if (!type) return;
  if (*type != "text_time")
    return read.fault("addition_embed_type", fmt::format("'addition_embed_type' is \"{}\", but only \"text_time\" and null are"
                                                         " implemented",
                                                         printable(*type, 60)));
  config.addition_embed_type = *type;
  for (const char* field : {"addition_time_embed_dim", "projection_class_embeddings_input_dim"})
    if (!read.given(field)) read.fault(field, fmt::format("'addition_embed_type' \"text_time\" needs '{}'", field));
  if (config.addition_time_embed_dim > 0 && config.projection_class_embeddings_input_dim > 0 &&
      config.projection_class_embeddings_input_dim <= 6 * config.addition_time_embed_dim)
    read.fault("projection_class_embeddings_input_dim",
               fmt::format("'projection_class_embeddings_input_dim' is {}; it must exceed the six time embeddings ({})",
                           config.projection_class_embeddings_input_dim, 6 * config.addition_time_embed_dim));
}

/// One row of per-layer depths: an integer spread to `layers`, or a list of exactly `layers`. A stage without attention
/// has none, whatever its entry says.
std::vector<int64_t> spread(FieldReader& read, std::string_view field, const DepthEntry& entry, size_t stage, size_t layers,
                            bool attention) {
  if (!attention) return {};
  if (!entry.nested) return std::vector<int64_t>(layers, entry.depths.front());
  if (entry.depths.size() != layers)
    read.fault(field,
               fmt::format("'{}' entry {} has {} depths for {} attention modules", field, stage, entry.depths.size(), layers));
  std::vector<int64_t> row = entry.depths;
  row.resize(layers, 1);
  return row;
}

void read_depths(FieldReader& read, UNetConfig& config) {
  const size_t stages = config.down_block_types.size();
  const std::string down = "transformer_layers_per_block", reverse = "reverse_transformer_layers_per_block";
  const auto given_down = read.depths(down, stages, kMaxDepth, false);
  const std::vector<DepthEntry> entries = given_down.value_or(std::vector<DepthEntry>(stages, DepthEntry{false, {1}}));
  std::optional<std::vector<DepthEntry>> up_entries;
  if (read.given(reverse)) up_entries = read.depths(reverse, stages, kMaxDepth, true);
  const bool nested = std::any_of(entries.begin(), entries.end(), [](const DepthEntry& e) { return e.nested; });
  if (nested && !read.given(reverse))
    read.fault(down, fmt::format("'{}' is nested, so '{}' must be given too (diffusers refuses it otherwise)", down, reverse));
  for (size_t i = 0; i < stages; ++i) {
    const auto layers = static_cast<size_t>(config.layers_per_block[i]);
    config.transformer_layers_per_block.push_back(
        spread(read, down, entries[i], i, layers, config.down_block_types[i] == "CrossAttnDownBlock2D"));
  }
  for (size_t i = 0; i < stages; ++i) {
    const size_t mirrored = stages - 1 - i;
    const auto layers = static_cast<size_t>(config.layers_per_block[mirrored]) + 1;
    const DepthEntry& entry = up_entries ? (*up_entries)[i] : entries[mirrored];
    const bool attention = config.up_block_types[i] == "CrossAttnUpBlock2D";
    if (entry.nested && !up_entries)
      config.reverse_transformer_layers_per_block.emplace_back(attention ? layers : 0, 1);
    else
      config.reverse_transformer_layers_per_block.push_back(spread(read, reverse, entry, i, layers, attention));
  }
  if (config.mid_block_type != std::optional(std::string(kCrossMid))) return;
  if (entries.back().depths.empty())
    return read.fault(down, fmt::format("the last entry of '{}' is empty, but the mid block takes its depth from it", down));
  config.mid_transformer_layers = entries.back().depths.front();
}

void check_widths(FieldReader& read, const UNetConfig& config) {
  const auto stages = static_cast<size_t>(config.stages());
  std::vector<int64_t> reported;
  int64_t blocks = config.mid_block_type == std::optional(std::string(kCrossMid)) ? config.mid_transformer_layers : 0;
  for (size_t i = 0; i < stages; ++i) {
    const int64_t channels = config.block_out_channels[i], heads = config.heads[i];
    for (const int64_t depth : config.transformer_layers_per_block[i]) blocks += depth;
    for (const int64_t depth : config.reverse_transformer_layers_per_block[i]) blocks += depth;
    if (channels % config.norm_num_groups != 0)
      read.fault("block_out_channels", fmt::format("'block_out_channels' entry {} is {}, which 'norm_num_groups' {} does not"
                                                   " divide",
                                                   i, channels, config.norm_num_groups));
    const bool attends = config.down_block_types[i].starts_with("Cross") ||
                         config.up_block_types[stages - 1 - i].starts_with("Cross") ||
                         (i + 1 == stages && config.mid_block_type == std::optional(std::string(kCrossMid)));
    if (attends && channels % heads != 0)
      read.fault("attention_head_dim", fmt::format("'attention_head_dim' gives stage {} {} heads, which do not divide its {}"
                                                   " channels (the field holds the number of heads)",
                                                   i, heads, channels));
  }
  if (blocks > kMaxBlocks)
    read.fault("transformer_layers_per_block",
               fmt::format("the config describes {} transformer blocks; {} are possible", blocks, kMaxBlocks));
  const int64_t time_half = config.block_out_channels.front() / 2, size_half = config.addition_time_embed_dim / 2;
  if (static_cast<double>(time_half) == config.freq_shift ||
      (config.has_text_time() && static_cast<double>(size_half) == config.freq_shift))
    read.fault("freq_shift", "'freq_shift' is half the width of a time embedding, so that its frequencies divide by zero");
}

}  // namespace

UNetConfig parse_config(std::string_view json, std::string_view file) {
  const io::JsonValue object = io::parse_json(json, file);
  if (!object.is_object())
    throw UserError(fmt::format("{}: a UNet config is an object, not {}", object.place(file), object.kind_name()));
  if (const io::JsonValue* name = object.find("_class_name"))
    if (!name->is_string() || name->as_string() != "UNet2DConditionModel")
      throw UserError(fmt::format("{}: '_class_name' is {}; espalier reads the config of a UNet2DConditionModel",
                                  name->place(file), shown(*name)));
  ErrorList errors;
  FieldReader read(object, file, errors);
  UNetConfig config;
  config.raw = std::string(json);
  check_inert_fields(object, file, errors);
  read_block_types(read, config);
  read_sample_size(read, config, object);
  read_scalars(read, config);
  read_added_embedding(read, config);
  const size_t stages = config.down_block_types.size();
  const bool stages_agree =
      stages > 0 && stages <= kMaxStages && config.up_block_types.size() == stages && config.block_out_channels.size() == stages;
  config.layers_per_block = read.per_stage("layers_per_block", stages, 1, kMaxLayers).value_or(std::vector<int64_t>(stages, 2));
  config.cross_attention_dim =
      read.per_stage("cross_attention_dim", stages, 1, kSizeLimit - 1).value_or(std::vector<int64_t>(stages, 1280));
  config.heads = read.per_stage("attention_head_dim", stages, 1, kSizeLimit - 1).value_or(std::vector<int64_t>(stages, 8));
  if (stages_agree) {
    read_depths(read, config);
    if (errors.empty()) check_widths(read, config);
  }
  errors.throw_if_any();
  return config;
}

UNetConfig read_config(const std::filesystem::path& file) { return parse_config(read_text(file), file.string()); }

}  // namespace espalier::model
