// The blocks of a single file are walked in order; their shapes give every width and depth. What shapes cannot say (the
// number of heads) follows the two rules of the published families, and other widths are refused.

#include <fmt/format.h>

#include <algorithm>

#include "core/base/error.h"
#include "core/model/model.h"

namespace espalier::model {
namespace {

class ShapeWalker {
 public:
  ShapeWalker(const io::TensorSource& file, std::string_view prefix) : file_(file), prefix_(prefix) {}

  UNetConfig walk() {
    const Shape conv_in = shape("input_blocks.0.0.weight", 4);
    config_.in_channels = conv_in[1];
    config_.out_channels = shape("out.2.weight", 4)[0];
    walk_input(conv_in[0]);
    walk_middle();
    walk_output();
    fill_unseen();
    return config_;
  }

 private:
  bool has(const std::string& name) const { return file_.contains(prefix_ + name); }
  Shape shape(const std::string& name, int rank) const {
    Shape found = file_.get(prefix_ + name).type.shape;
    if (found.rank() != rank)
      throw UserError(fmt::format("{}: {}{} has shape {}, where {} dimensions are expected", file_.describe(), prefix_, name,
                                  to_string(found), rank));
    return found;
  }
  [[noreturn]] void fail(const std::string& what) const {
    const std::string beside = std::filesystem::path(file_.describe()).replace_extension(".json").filename().string();
    throw UserError(fmt::format("{}: {}; put the UNet's config.json beside the file as {}", file_.describe(), what, beside));
  }

  /// Depth of the attention module at `place`; 0 blocks is possible, no module is nullopt.
  std::optional<int64_t> depth(const std::string& place) {
    if (!has(place + ".proj_in.weight")) return std::nullopt;
    int64_t blocks = 0;
    while (has(fmt::format("{}.transformer_blocks.{}.attn1.to_q.weight", place, blocks))) ++blocks;
    config_.use_linear_projection = file_.get(prefix_ + place + ".proj_in.weight").type.shape.rank() == 2;
    if (blocks > 0) context_ = shape(place + ".transformer_blocks.0.attn2.to_k.weight", 2)[1];
    return blocks;
  }

  void close(std::vector<std::string>& types, const char* plain, std::vector<std::vector<int64_t>>& depths,
             std::vector<int64_t>& row) {
    types.push_back(row.empty() ? plain : std::string("CrossAttn") + plain);
    depths.push_back(std::move(row));
    row.clear();
  }

  void walk_input(int64_t channels) {
    std::vector<int64_t> row;
    int64_t layers = 0;
    const auto end_stage = [&] {
      config_.block_out_channels.push_back(channels);
      config_.layers_per_block.push_back(layers);
      close(config_.down_block_types, "DownBlock2D", config_.transformer_layers_per_block, row);
      layers = 0;
    };
    for (int64_t i = 1;; ++i) {
      const std::string place = fmt::format("input_blocks.{}", i);
      if (has(place + ".0.op.weight")) {
        end_stage();
      } else if (has(place + ".0.in_layers.2.weight")) {
        channels = shape(place + ".0.in_layers.2.weight", 4)[0];
        ++layers;
        if (const auto blocks = depth(place + ".1")) row.push_back(*blocks);
      } else {
        break;
      }
    }
    end_stage();
  }

  void walk_middle() {
    config_.mid_block_type = std::nullopt;
    if (!has("middle_block.0.in_layers.2.weight")) return;
    const auto blocks = depth("middle_block.1");
    config_.mid_block_type = blocks ? "UNetMidBlock2DCrossAttn" : "UNetMidBlock2D";
    config_.mid_transformer_layers = blocks.value_or(1);
    const auto& last = config_.transformer_layers_per_block.back();
    if (blocks && !last.empty() && last.front() != *blocks)
      fail(
          fmt::format("its middle block has {} transformer blocks and its last encoder stage {}, which no diffusers config can"
                      " say",
                      *blocks, last.front()));
  }

  void walk_output() {
    std::vector<int64_t> row;
    int64_t stages = 0;
    for (int64_t i = 0;; ++i) {
      const std::string place = fmt::format("output_blocks.{}", i);
      if (!has(place + ".0.in_layers.2.weight")) break;
      if (const auto blocks = depth(place + ".1")) row.push_back(*blocks);
      if (!has(place + ".1.conv.weight") && !has(place + ".2.conv.weight")) continue;
      ++stages;
      close(config_.up_block_types, "UpBlock2D", config_.reverse_transformer_layers_per_block, row);
    }
    close(config_.up_block_types, "UpBlock2D", config_.reverse_transformer_layers_per_block, row);
    if (++stages != config_.stages())
      fail(fmt::format("it has {} encoder stages and {} decoder stages", config_.stages(), stages));
  }

  void fill_unseen() {
    const auto stages = static_cast<size_t>(config_.stages());
    config_.cross_attention_dim.assign(stages, context_ == 0 ? 768 : context_);
    if (context_ == 768 || context_ == 0)
      config_.heads.assign(stages, 8);
    else if (context_ == 1024 || context_ == 2048)
      for (const int64_t channels : config_.block_out_channels) config_.heads.push_back(std::max<int64_t>(channels / 64, 1));
    else
      fail(fmt::format("its tensors do not tell the number of heads (context width {}; known are 768, 1024 and 2048)", context_));
    config_.sample_size = 64;
    if (!has("label_emb.0.0.weight")) return;
    config_.sample_size = 128;
    config_.addition_embed_type = "text_time";
    config_.projection_class_embeddings_input_dim = shape("label_emb.0.0.weight", 2)[1];
    config_.addition_time_embed_dim = 256;
    if (config_.projection_class_embeddings_input_dim <= int64_t{6} * 256)
      fail(fmt::format("its label embedding reads {} values, too few for six time embeddings of 256",
                       config_.projection_class_embeddings_input_dim));
  }

  const io::TensorSource& file_;
  std::string prefix_;
  UNetConfig config_;
  int64_t context_ = 0;
};

}  // namespace

UNetConfig infer_config(const io::TensorSource& file, std::string_view prefix) {
  const UNetConfig seen = ShapeWalker(file, prefix).walk();
  for (size_t i = 0; i < seen.block_out_channels.size(); ++i)
    for (const auto* row : {&seen.transformer_layers_per_block[i],
                            &seen.reverse_transformer_layers_per_block[seen.block_out_channels.size() - 1 - i]}) {
      const size_t layers =
          static_cast<size_t>(seen.layers_per_block[i]) + (row == &seen.transformer_layers_per_block[i] ? 0 : 1);
      if (!row->empty() && row->size() != layers)
        throw UserError(fmt::format("{}: {} of the {} resnets of one stage have an attention module; diffusers knows all or none",
                                    file.describe(), row->size(), layers));
    }
  // The same checks as for a config that a person wrote.
  UNetConfig config = parse_config(write_config(seen), file.describe() + " (config from its shapes)");
  config.raw = write_config(seen);
  return config;
}

}  // namespace espalier::model
