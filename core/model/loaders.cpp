// What other programs recognise, as data. ComfyUI reads a single file and accepts an SDXL-family UNet only when the flat
// list of its encoder's transformer depths is one it knows; decoder and middle block are rebuilt from the names.
// stable-diffusion.cpp has whole structures compiled in.
// Source: ComfyUI comfy/model_detection.py and supported_models.py; stable-diffusion.cpp src/unet.hpp and model.cpp.

#include <fmt/format.h>

#include <algorithm>

#include "core/base/error.h"
#include "core/base/text.h"
#include "core/model/model.h"

namespace espalier::model {
namespace {

struct EncoderList {
  const char* name;
  std::vector<int64_t> depths;  // one per encoder resnet, 0 without attention
};

const std::vector<EncoderList>& comfyui_lists() {
  static const std::vector<EncoderList> lists = {{"SDXL", {0, 0, 2, 2, 10, 10}},
                                                 {"SSD-1B", {0, 0, 2, 2, 4, 4}},
                                                 {"Segmind-Vega", {0, 0, 1, 1, 2, 2}},
                                                 {"KOALA-700M", {0, 2, 5}},
                                                 {"KOALA-1B", {0, 2, 6}}};
  return lists;
}

/// A published structure that a loader has compiled in.
struct KnownStructure {
  const char* name;
  UNetConfig config;
};

UNetConfig sdxl_structure(int64_t one, int64_t two, const char* mid, std::vector<std::vector<int64_t>> up) {
  UNetConfig c;
  c.down_block_types = {"DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"};
  c.up_block_types = {"CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"};
  c.mid_block_type = mid;
  c.block_out_channels = {320, 640, 1280};
  c.layers_per_block = {2, 2, 2};
  c.cross_attention_dim = {2048, 2048, 2048};
  c.heads = {5, 10, 20};
  c.transformer_layers_per_block = {{}, {one, one}, {two, two}};
  c.reverse_transformer_layers_per_block = std::move(up);
  c.mid_transformer_layers = two;
  c.use_linear_projection = true;
  c.addition_embed_type = "text_time";
  c.addition_time_embed_dim = 256;
  c.projection_class_embeddings_input_dim = 2816;
  return c;
}

UNetConfig sd_structure(int64_t context, bool linear, std::vector<int64_t> heads) {
  UNetConfig c;
  c.down_block_types = {"CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"};
  c.up_block_types = {"UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"};
  c.mid_block_type = "UNetMidBlock2DCrossAttn";
  c.block_out_channels = {320, 640, 1280, 1280};
  c.layers_per_block = {2, 2, 2, 2};
  c.cross_attention_dim = {context, context, context, context};
  c.heads = std::move(heads);
  c.transformer_layers_per_block = {{1, 1}, {1, 1}, {1, 1}, {}};
  c.reverse_transformer_layers_per_block = {{}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1}};
  c.use_linear_projection = linear;
  return c;
}

const std::vector<KnownStructure>& compiled_structures() {
  static const std::vector<KnownStructure> known = {
      {"SDXL", sdxl_structure(2, 10, "UNetMidBlock2DCrossAttn", {{10, 10, 10}, {2, 2, 2}, {}})},
      {"SSD-1B", sdxl_structure(2, 4, "UNetMidBlock2D", {{4, 4, 10}, {2, 1, 1}, {}})},
      {"Segmind-Vega", sdxl_structure(1, 2, "UNetMidBlock2D", {{2, 2, 2}, {1, 1, 1}, {}})},
      {"SD 1.x", sd_structure(768, false, {8, 8, 8, 8})},
      {"SD 2.x", sd_structure(1024, true, {5, 10, 20, 20})}};
  return known;
}

std::vector<int64_t> encoder_depths(const BlockTree& tree) {
  std::vector<int64_t> list;
  for (const Stage& stage : tree.down)
    for (const Layer& layer : stage.layers)
      list.push_back(layer.attention ? static_cast<int64_t>(layer.attention->blocks.size()) : 0);
  return list;
}

std::string list_text(const std::vector<int64_t>& list) { return fmt::format("[{}]", fmt::join(list, ",")); }

template <typename F>
void for_each_attention(BlockTree& tree, F&& f) {
  for (auto* side : {&tree.down, &tree.up})
    for (Stage& stage : *side)
      for (Layer& layer : stage.layers)
        if (layer.attention) f(*layer.attention);
  if (tree.mid && tree.mid->attention) f(*tree.mid->attention);
}

/// What the original layout leaves no room for: constants of the programs that read it. "" when all hold.
std::string original_layout_fault(const BlockTree& tree, int64_t head_width, int64_t heads) {
  const UNetConfig& c = tree.config;
  if (tree.down.front().channels != 320) return fmt::format("its first width is {}, not 320", tree.down.front().channels);
  for (const Stage& stage : tree.down)
    if (stage.channels % 320 != 0) return fmt::format("{} is {} wide, no multiple of 320", stage.origin, stage.channels);
  if (c.norm_num_groups != 32 || c.norm_eps != 1e-5) return "its norms do not have 32 groups and epsilon 1e-5";
  if (!c.flip_sin_to_cos || c.freq_shift != 0) return "its time embedding is not flip_sin_to_cos without freq_shift";
  if (c.downsample_padding != 1) return "its downsamplers do not pad by 1";
  if (c.in_channels != 4 && c.in_channels != 9) return fmt::format("it reads {} channels, not 4 (or 9)", c.in_channels);
  if (c.out_channels != 4) return fmt::format("it writes {} channels, not 4", c.out_channels);
  std::string fault;
  for_each_attention(const_cast<BlockTree&>(tree), [&](Attention& a) {
    if (head_width != 0 && a.heads * head_width != a.channels)
      fault = fmt::format("{} has {} heads of width {}, not {}", a.origin, a.heads, a.channels / a.heads, head_width);
    if (heads != 0 && a.heads != heads) fault = fmt::format("{} has {} heads, not {}", a.origin, a.heads, heads);
    if (a.blocks.empty()) fault = fmt::format("{} has no transformer block", a.origin);
  });
  return fault;
}

int64_t context_width(const BlockTree& tree) {
  int64_t width = 0;
  for_each_attention(const_cast<BlockTree&>(tree),
                     [&](Attention& a) { width = width == 0 || width == a.cross_dim ? a.cross_dim : -1; });
  return width;
}

bool sdxl_conditioning(const UNetConfig& c) {
  return c.has_text_time() && c.projection_class_embeddings_input_dim == 2816 && c.addition_time_embed_dim == 256;
}

LoaderVerdict refuses(const char* loader, std::string reason) { return {loader, false, "", std::move(reason)}; }

LoaderVerdict diffusers_verdict(const BlockTree& tree) {
  try {
    (void)config_of(tree);
  } catch (const UserError& error) {
    return refuses("diffusers", error.what());
  }
  return {"diffusers", true, "UNet2DConditionModel", ""};
}

/// SD 1.x and 2.x are recognised by width, context and projection; depths are not looked at.
LoaderVerdict comfyui_sd_verdict(const BlockTree& tree, int64_t context) {
  const bool one = context == 768;
  if (tree.config.use_linear_projection == one)
    return refuses("comfyui", one ? "at context 768 it expects convolutional projections (SD 1.x)"
                                  : "at context 1024 it expects linear projections (SD 2.x)");
  const std::string fault = original_layout_fault(tree, one ? 0 : 64, one ? 8 : 0);
  if (!fault.empty()) return refuses("comfyui", fault + " (known: SD 1.x, SD 2.x)");
  size_t blocks = 0;
  for (const Stage& stage : tree.up) blocks += stage.layers.size();
  // For SD 2.x it asks output_blocks.11.1 which prediction type the file has.
  if (!one && tree.config.in_channels == 4 && (blocks < 12 || !tree.up.back().cross_attention || blocks > 12))
    return refuses("comfyui", fmt::format("it has {} decoder resnets; SD 2.x is read with 12, the last with attention", blocks));
  return {"comfyui", true, one ? "SD 1.x (single file)" : "SD 2.x (single file)", ""};
}

LoaderVerdict comfyui_verdict(const BlockTree& tree) {
  const int64_t context = context_width(tree);
  if (!tree.config.has_text_time() && (context == 768 || context == 1024)) return comfyui_sd_verdict(tree, context);
  const std::string known =
      "known encoder depths: SDXL [0,0,2,2,10,10], SSD-1B [0,0,2,2,4,4], Vega [0,0,1,1,2,2], KOALA [0,2,5] and [0,2,6]";
  if (context != 2048) return refuses("comfyui", fmt::format("its context is {} wide; {} at 2048", context, known));
  if (!sdxl_conditioning(tree.config))
    return refuses("comfyui", "its added conditioning is not SDXL's (2816 values, time embeddings of 256)");
  if (!tree.config.use_linear_projection) return refuses("comfyui", "its projections are convolutions; SDXL's are linear");
  const std::string fault = original_layout_fault(tree, 64, 0);
  if (!fault.empty()) return refuses("comfyui", fault);
  const std::vector<int64_t> depths = encoder_depths(tree);
  for (const EncoderList& list : comfyui_lists())
    if (list.depths == depths) return {"comfyui", true, std::string(list.name) + " (single file)", ""};
  return refuses("comfyui", fmt::format("encoder depths {} are unknown to it; {}", list_text(depths), known));
}

LoaderVerdict sd_cpp_verdict(const BlockTree& tree) {
  constexpr const char* kName = "stable-diffusion.cpp";
  UNetConfig config;
  try {
    config = config_of(tree);
  } catch (const UserError& error) {
    return refuses(kName, error.what());
  }
  for (const KnownStructure& known : compiled_structures()) {
    UNetConfig want = known.config;
    const std::string name = known.name;
    if (config.in_channels == 9 && name != "SSD-1B" && name != "Segmind-Vega") want.in_channels = 9;
    if (structure_hash(want) == structure_hash(config)) return {kName, true, name + " (single file)", ""};
  }
  return refuses(kName,
                 "its structure is none of those compiled in: SDXL, SSD-1B, Segmind-Vega, SD 1.x, SD 2.x (its tiny SD"
                 " variants expect block numbers with gaps, as conversion scripts write them)");
}

bool opens(const std::string& loader, const BlockTree& tree) {
  for (const LoaderVerdict& verdict : loader_verdicts(tree))
    if (verdict.loader == loader) return verdict.opens;
  return false;
}

const Attention* find_attention(const BlockTree& tree, const std::string& path) {
  const Attention* found = nullptr;
  for_each_attention(const_cast<BlockTree&>(tree), [&](Attention& a) {
    if (a.origin == path) found = &a;
  });
  return found;
}

/// Puts teacher blocks that the student lacks back in their places, padded, until the module is `depth` deep. False when
/// the student is deeper already or the teacher has too few blocks.
bool deepen(Attention& module, const BlockTree& teacher, size_t depth) {
  if (module.blocks.size() == depth) return true;
  const Attention* source = find_attention(teacher, module.origin);
  if (module.blocks.size() > depth || source == nullptr || source->blocks.size() < depth) return false;
  std::vector<TransformerBlock> blocks;
  size_t kept = 0, missing = depth - module.blocks.size();
  for (const TransformerBlock& block : source->blocks) {
    if (kept < module.blocks.size() && module.blocks[kept].origin == block.origin)
      blocks.push_back(module.blocks[kept++]);
    else if (missing > 0)
      blocks.push_back({block.origin, true}), --missing;
  }
  if (kept != module.blocks.size() || missing > 0) return false;
  module.blocks = std::move(blocks);
  return true;
}

/// Encoder depths raised to `list`, and the mid block to the depth that a config then gives it.
bool raise_encoder(BlockTree& tree, const BlockTree& teacher, const std::vector<int64_t>& list) {
  if (encoder_depths(tree).size() != list.size()) return false;
  size_t next = 0;
  for (Stage& stage : tree.down)
    for (Layer& layer : stage.layers) {
      const auto depth = static_cast<size_t>(list[next++]);
      if (layer.attention ? !deepen(*layer.attention, teacher, depth) : depth != 0) return false;
    }
  const Stage& last = tree.down.back();
  return !tree.mid || !tree.mid->attention || !last.cross_attention ||
         deepen(*tree.mid->attention, teacher, last.layers.front().attention->blocks.size());
}

/// All depths raised to those of `known`.
bool raise_all(BlockTree& tree, const BlockTree& teacher, const BlockTree& known) {
  if (tree.up.size() != known.up.size() || !raise_encoder(tree, teacher, encoder_depths(known))) return false;
  for (size_t i = 0; i < tree.up.size(); ++i) {
    if (tree.up[i].layers.size() != known.up[i].layers.size()) return false;
    for (size_t l = 0; l < tree.up[i].layers.size(); ++l) {
      auto& module = tree.up[i].layers[l].attention;
      const auto& want = known.up[i].layers[l].attention;
      if (module.has_value() != want.has_value() || (module && !deepen(*module, teacher, want->blocks.size()))) return false;
    }
  }
  return true;
}

/// The mid block and the first module of the last encoder stage brought to one depth: what a diffusers config can say.
bool raise_mid(BlockTree& tree, const BlockTree& teacher) {
  Stage& last = tree.down.back();
  if (!tree.mid || !tree.mid->attention || last.layers.empty() || !last.layers.front().attention) return false;
  Attention &mid = *tree.mid->attention, &down = *last.layers.front().attention;
  const size_t depth = std::max(mid.blocks.size(), down.blocks.size());
  return deepen(mid, teacher, depth) && deepen(down, teacher, depth);
}

}  // namespace

std::vector<LoaderVerdict> loader_verdicts(const BlockTree& tree) {
  return {diffusers_verdict(tree), comfyui_verdict(tree), sd_cpp_verdict(tree)};
}

BlockTree pad_for(const BlockTree& student, const BlockTree& teacher, const std::string& loader) {
  const std::vector<std::string> loaders = {"diffusers", "comfyui", "stable-diffusion.cpp"};
  if (std::find(loaders.begin(), loaders.end(), loader) == loaders.end())
    throw UserError(fmt::format("unknown loader '{}'; known are {}{}", printable(loader), join(loaders, ", "),
                                did_you_mean(loader, loaders)));
  if (opens(loader, student) && opens("diffusers", student)) return student;  // a folder needs its config
  std::vector<BlockTree> candidates;
  const auto offer = [&](auto&& raise) {
    BlockTree tree = student;
    if (raise(tree) && opens(loader, tree) && opens("diffusers", tree)) candidates.push_back(std::move(tree));
  };
  if (loader == "diffusers") offer([&](BlockTree& tree) { return raise_mid(tree, teacher); });
  if (loader == "comfyui")
    for (const EncoderList& list : comfyui_lists())
      offer([&](BlockTree& tree) { return raise_encoder(tree, teacher, list.depths); });
  if (loader == "stable-diffusion.cpp")
    for (const KnownStructure& known : compiled_structures())
      offer([&](BlockTree& tree) { return raise_all(tree, teacher, build_tree(known.config)); });
  if (!candidates.empty())
    return *std::min_element(candidates.begin(), candidates.end(), [](const BlockTree& a, const BlockTree& b) {
      return a.transformer_blocks() < b.transformer_blocks();
    });
  std::string reason;
  for (const LoaderVerdict& verdict : loader_verdicts(student))
    if (reason.empty() || verdict.loader == loader) reason = verdict.reason.empty() ? reason : verdict.reason;
  throw UserError(fmt::format("no padding with blocks of the teacher makes a structure that {} opens: {}", loader, reason));
}

}  // namespace espalier::model
