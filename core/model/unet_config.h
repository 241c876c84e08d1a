#pragma once
// A UNet's config.json: every structural field with diffusers' defaults filled in, strict about the rest.

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace espalier::model {

/// Field names and defaults are those of diffusers' UNet2DConditionModel. Per-stage fields are already spread to one
/// entry per stage (per layer where they may be nested).
struct UNetConfig {
  int64_t sample_size = 0;   // latent height (and width, where the next is 0); diffusers' null is 0 here
  int64_t sample_width = 0;  // set when the config has [height, width] with two values
  int64_t in_channels = 4, out_channels = 4;
  bool flip_sin_to_cos = true;
  double freq_shift = 0;
  std::vector<std::string> down_block_types, up_block_types;
  std::optional<std::string> mid_block_type;  // null is not absent: no mid block
  std::vector<int64_t> block_out_channels;
  std::vector<int64_t> layers_per_block;  // per down stage
  int64_t downsample_padding = 1;
  double norm_eps = 1e-5;
  int64_t norm_num_groups = 32;
  std::vector<int64_t> cross_attention_dim;                                // per down stage
  std::vector<std::vector<int64_t>> transformer_layers_per_block;          // [down stage][layer]
  std::vector<std::vector<int64_t>> reverse_transformer_layers_per_block;  // [up stage][layer], in up order
  int64_t mid_transformer_layers = 1;
  std::vector<int64_t> heads;  // per down stage (attention_head_dim or num_attention_heads)
  bool use_linear_projection = false;
  std::string addition_embed_type;  // "" or "text_time"
  int64_t addition_time_embed_dim = 0, projection_class_embeddings_input_dim = 0;
  bool upcast_attention = false;  // accepted: our attention accumulates in f32 anyway
  std::string raw;                // the JSON text as read, for byte-faithful pass-through

  bool has_text_time() const { return addition_embed_type == "text_time"; }
  int64_t default_height() const { return sample_size; }
  int64_t default_width() const { return sample_width != 0 ? sample_width : sample_size; }
  int64_t stages() const { return static_cast<int64_t>(block_out_channels.size()); }
  int64_t time_embed_dim() const { return block_out_channels.front() * 4; }
};

/// Reads and checks one config. Errors: one UserError that lists every fault with file and field: unknown fields (did
/// you mean), fields known to diffusers that are not implemented at another value than the default, wrong types, lists
/// of unequal lengths, channels that do not divide by groups or heads.
UNetConfig parse_config(std::string_view json, std::string_view file);
UNetConfig read_config(const std::filesystem::path& file);
/// config.json text for `config`: diffusers' field names, two-space indent, sorted keys, trailing newline; nested and
/// reverse lists only where the structure needs them. Fields that `config.raw` holds and that are not structural are kept.
std::string write_config(const UNetConfig& config);
/// "sha256:…" of the structural fields with defaults filled in, keys sorted, compact JSON.
std::string structure_hash(const UNetConfig& config);

}  // namespace espalier::model
