#include "core/inspect/run_inputs.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "core/base/error.h"
#include "core/base/text.h"
#include "core/exec/border.h"
#include "core/exec/reference_call.h"

namespace espalier::inspect {
namespace {

constexpr int kLastTimestep = 999;

// One extent: a number, or a letter that all tensors of one file agree on.
struct Extent {
  char letter = 0;
  int64_t value = 0;
};

struct Wanted {
  std::string name;
  std::vector<Extent> extents;  // in the file's layout
};

// What the model's graph reads. Widths come from the graph itself, so that there is one place that knows them.
std::vector<Wanted> wanted_by(const model::BlockTree& tree) {
  const Graph graph = model::build_graph(tree, {.batch = 1, .height = 64, .width = 64, .tokens = 1});
  std::vector<Wanted> out;
  for (Value input : graph.inputs()) {
    const std::string& name = graph.def(input).label;
    const Shape& shape = graph.type(input).shape;
    if (shape.rank() == 4)
      out.push_back({name, {{'N'}, {0, shape[3]}, {'H'}, {'W'}}});
    else if (shape.rank() == 3)
      out.push_back({name, {{'N'}, {'L'}, {0, shape[2]}}});
    else if (shape.rank() == 2)
      out.push_back({name, {{'N'}, {0, shape[1]}}});
    else
      out.push_back({name, {{'N'}}});
  }
  return out;
}

std::string shape_text(const std::vector<Extent>& extents, const std::map<char, int64_t>& bound) {
  std::vector<std::string> parts, notes;
  for (const Extent& extent : extents) {
    parts.push_back(extent.letter == 0 ? std::to_string(extent.value) : std::string(1, extent.letter));
    const auto known = bound.find(extent.letter);
    if (extent.letter != 0 && known != bound.end()) notes.push_back(parts.back() + " = " + std::to_string(known->second));
  }
  return "[" + join(parts, ",") + "]" + (notes.empty() ? "" : " with " + join(notes, ", "));
}

// Whether `shape` fits, given the letters that earlier tensors fixed; fixes its own when it does.
bool fits(const Shape& shape, const std::vector<Extent>& extents, std::map<char, int64_t>& bound) {
  if (shape.rank() != static_cast<int>(extents.size())) return false;
  std::map<char, int64_t> now = bound;
  for (size_t i = 0; i < extents.size(); ++i) {
    const int64_t extent = shape[static_cast<int>(i)];
    if (extent < 1) return false;
    const int64_t want = extents[i].letter == 0 ? extents[i].value : now.emplace(extents[i].letter, extent).first->second;
    if (extent != want) return false;
  }
  bound = std::move(now);
  return true;
}

exec::FloatTensor read_floats(const io::TensorRef& tensor) {
  const std::vector<double> wide =
      exec::widen(tensor.type.dtype, tensor.bytes.data(), static_cast<size_t>(tensor.type.shape.elements()));
  return {tensor.type.shape, std::vector<float>(wide.begin(), wide.end())};
}

// Outside 0 to 999 there is no noise level that a model was trained on, and NaN would only come out as NaN.
void check_timesteps(const std::vector<float>& timesteps, const std::string& where, ErrorList& errors) {
  for (size_t i = 0; i < timesteps.size(); ++i)
    if (!(timesteps[i] >= 0 && timesteps[i] <= kLastTimestep)) {
      errors.add(fmt::format("{}'timestep' holds {} at {}, want 0 to {}", where, timesteps[i], i, kLastTimestep));
      return;
    }
}

}  // namespace

RunInputs read_run_inputs(const io::TensorSource& source, const model::BlockTree& tree) {
  RunInputs out;
  ErrorList errors;
  std::map<char, int64_t> bound;
  const std::string where = "[" + source.describe() + "] ";
  const std::vector<Wanted> wanted = wanted_by(tree);
  for (const Wanted& want : wanted) {
    if (!source.contains(want.name)) {
      errors.add(where + "no tensor '" + want.name + "', want " + shape_text(want.extents, bound) +
                 did_you_mean(want.name, source.names()));
      continue;
    }
    try {
      const io::TensorRef tensor = source.get(want.name);
      const DType dtype = tensor.type.dtype;
      if (!is_floating(dtype) && dtype != DType::kI32 && dtype != DType::kI64)
        errors.add(where + "'" + want.name + "' is " + std::string(name_of(dtype)) + ", want f32");
      else if (!fits(tensor.type.shape, want.extents, bound))
        errors.add(where + "'" + want.name + "' has shape " + to_string(tensor.type.shape) + ", want " +
                   shape_text(want.extents, bound));
      else
        out.tensors[want.name] = read_floats(tensor);
    } catch (const UserError& error) {
      errors.add(error.what());
    }
  }
  if (const auto timestep = out.tensors.find("timestep"); timestep != out.tensors.end())
    check_timesteps(timestep->second.values, where, errors);
  errors.throw_if_any();
  for (const std::string& name : source.names())
    if (std::none_of(wanted.begin(), wanted.end(), [&](const Wanted& want) { return want.name == name; }))
      out.ignored.push_back(name);
  out.tensors = exec::from_files(std::move(out.tensors));
  out.sizes.batch = bound['N'];
  out.sizes.height = bound['H'];
  out.sizes.width = bound['W'];
  out.sizes.tokens = bound['L'];
  return out;
}

}  // namespace espalier::inspect
