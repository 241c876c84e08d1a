#include "core/train/initial_weights.h"

#include <array>
#include <cmath>
#include <map>

#include "core/base/rng.h"
#include "core/io/memory_source.h"

namespace espalier::train {
namespace {

constexpr std::array<std::string_view, 5> kLastOfBranch = {".conv2.", ".to_out.0.", ".ff.net.2.", ".proj_out.", "conv_out."};

bool ends_branch(const std::string& name) {
  for (std::string_view part : kLastOfBranch)
    if (name.find(part) != std::string::npos) return true;
  return false;
}

/// Elements that one output reads.
int64_t fan_in(const Shape& weight) { return weight.elements() / weight[0]; }

}  // namespace

io::TensorSourcePtr initial_weights(const model::BlockTree& tree, uint64_t seed) {
  auto source = std::make_shared<io::MemoryTensorSource>("initial weights");
  const std::vector<model::TensorSpec> specs = model::tensor_specs(tree);
  std::map<std::string, int64_t> fans;  // of a module, for its bias
  for (const model::TensorSpec& spec : specs)
    if (spec.shape.rank() > 1) fans[spec.name.substr(0, spec.name.rfind('.'))] = fan_in(spec.shape);
  for (const model::TensorSpec& spec : specs) {
    const auto fan = fans.find(spec.name.substr(0, spec.name.rfind('.')));
    std::vector<float> values(static_cast<size_t>(spec.shape.elements()));
    if (fan == fans.end()) {  // a norm
      values.assign(values.size(), spec.name.ends_with(".weight") ? 1.0f : 0.0f);
    } else if (!ends_branch(spec.name)) {
      const double bound = 1 / std::sqrt(static_cast<double>(fan->second));
      const uint64_t stream = rng::stream_of(spec.name);
      for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(bound * (2 * rng::uniform(seed, stream, i) - 1));
    }
    source->add_f32(spec.name, spec.shape, values);
  }
  return source;
}

}  // namespace espalier::train
