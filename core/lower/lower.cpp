#include "core/lower/lower.h"

#include <algorithm>

#include "core/base/error.h"
#include "core/lower/arena.h"
#include "core/ops/registry.h"

namespace espalier::lower {
namespace {

void append_attr(std::string& key, const AttrValue& value) {
  const auto raw = [&](const void* data, size_t bytes) { key.append(static_cast<const char*>(data), bytes); };
  key += static_cast<char>('0' + value.index());
  std::visit(
      [&](const auto& v) {
        using T = std::decay_t<decltype(v)>;
        if constexpr (std::is_arithmetic_v<T>) {
          raw(&v, sizeof v);
        } else {
          const size_t count = v.size();
          raw(&count, sizeof count);
          raw(v.data(), count * sizeof(v[0]));
        }
      },
      value);
}

void append_type(std::string& key, const TensorType& type) {
  key += static_cast<char>('A' + static_cast<int>(type.dtype));
  key += static_cast<char>('0' + type.shape.rank());
  for (int64_t dim : type.shape.dims()) key.append(reinterpret_cast<const char*>(&dim), sizeof dim);
}

std::string key_of(const OpCall& call, const std::vector<bool>& is_param) {
  std::string key(*call.op->name);
  for (size_t i = 0; i < call.inputs.size(); ++i) {
    key += is_param[i] ? 'p' : 'v';
    append_type(key, call.inputs[i]);
  }
  key += '>';
  for (const TensorType& type : call.results) append_type(key, type);
  for (const auto& [name, value] : call.attrs.entries()) {
    key += name;
    append_attr(key, value);
  }
  return key;
}

// Everything that is known of one graph while it is lowered.
class Lowering {
 public:
  Lowering(const Graph& graph, CallList& list, const LowerOptions& options)
      : graph_(graph), list_(list), cache_(options.backend), places_(graph.values().size()), root_(graph.values().size()) {}

  void run() {
    find_roots();
    place_outside_arena();
    choose_kernels();
    place_arena();
    fill_places();
  }

 private:
  // A reshape's result is its operand under another type, and an in-place op's result lies where its operand was: both have
  // one root, the value whose memory they are.
  void find_roots() {
    for (const Node& node : graph_.nodes()) {
      for (Value result : node.results) root_[result.id] = result;
      if (node.kind != NodeKind::kOp) continue;
      if (node.is(ops::reshape_def)) root_[node.results[0].id] = root_[node.inputs[0].id];
      for (const Alias& alias : node.op->aliases) root_[node.results[alias.result].id] = root_[node.inputs[alias.operand].id];
    }
  }

  void place_outside_arena() {
    const auto collect = [&](NodeKind kind, Space space, std::vector<Value>& out) {
      for (const Node& node : graph_.nodes())
        if (node.kind == kind) {
          places_[node.results[0].id] = {space, out.size()};
          out.push_back(node.results[0]);
        }
    };
    collect(NodeKind::kInput, Space::kInput, list_.inputs);
    collect(NodeKind::kParam, Space::kParam, list_.params);
    collect(NodeKind::kConstant, Space::kConstant, list_.constants);
    for (const Output& output : graph_.outputs()) {
      Place& place = places_[root_[output.value.id].id];
      if (place.space == Space::kNone)
        place = {Space::kOutput, list_.outputs.size()};
      else
        list_.copies.push_back({list_.outputs.size(), place});
      list_.outputs.push_back(output.value);
    }
  }

  bool is_param(Value v) const { return v.present() && places_[root_[v.id].id].space == Space::kParam; }

  void choose_kernels() {
    for (size_t i = 0; i < graph_.nodes().size(); ++i) {
      const Node& node = graph_.node(i);
      if (node.kind != NodeKind::kOp || node.is(ops::reshape_def)) continue;
      Call call;
      call.node = i;
      const OpCall op_call = graph_.call(node);
      std::vector<bool> params(op_call.inputs.size());  // optional operands that are left out have a place too
      for (size_t k = 0; k < node.inputs.size(); ++k)
        if ((params[k] = is_param(node.inputs[k])) && k < 64) call.param_mask |= uint64_t{1} << k;
      const KernelChoice& choice = cache_.support(op_call, node.path, params);
      call.on_backend = choice.accepted;
      call.kernel = choice.accepted ? choice.kernel : "reference";
      call.workspace_bytes = choice.accepted ? choice.workspace_bytes : 0;
      if (choice.accepted) call.kept = choice.kept;
      call.refusals = choice.refusals;
      list_.calls.push_back(std::move(call));
    }
  }

  void place_arena() {
    std::vector<Lifetime> lifetimes;
    std::vector<uint32_t> of_value(graph_.values().size(), Value::kNone);  // root value → lifetime
    std::vector<size_t> of_workspace(list_.calls.size(), SIZE_MAX);
    for (size_t c = 0; c < list_.calls.size(); ++c) {
      const Node& node = graph_.node(list_.calls[c].node);
      for (Value result : node.results) {
        // An output is written in place; what an in-place op makes lies in an input.
        if (places_[root_[result.id].id].space != Space::kNone) continue;
        of_value[result.id] = static_cast<uint32_t>(lifetimes.size());
        lifetimes.push_back({graph_.type(result).bytes(), c, c});
      }
      for (Value operand : node.inputs) {
        if (!operand.present()) continue;
        const uint32_t life = of_value[root_[operand.id].id];
        if (life != Value::kNone) lifetimes[life].last = c;
      }
      if (list_.calls[c].workspace_bytes > 0) {
        of_workspace[c] = lifetimes.size();
        lifetimes.push_back({list_.calls[c].workspace_bytes, c, c});
      }
    }
    const Arena arena = plan_arena(lifetimes, CallList::kAlignment);
    list_.arena_bytes = arena.bytes;
    for (size_t v = 0; v < of_value.size(); ++v)
      if (of_value[v] != Value::kNone) places_[v] = {Space::kArena, arena.offsets[of_value[v]]};
    for (size_t c = 0; c < list_.calls.size(); ++c)
      if (of_workspace[c] != SIZE_MAX) list_.calls[c].workspace_offset = arena.offsets[of_workspace[c]];
    list_.live_bytes = live_bytes(lifetimes, list_.calls.size(), CallList::kAlignment);
    const auto peak = std::max_element(list_.live_bytes.begin(), list_.live_bytes.end());
    list_.peak_call = static_cast<size_t>(peak - list_.live_bytes.begin());
  }

  void fill_places() {
    const auto place = [&](Value v) { return v.present() ? places_[root_[v.id].id] : Place{}; };
    for (Call& call : list_.calls) {
      const Node& node = graph_.node(call.node);
      for (Value operand : node.inputs) call.inputs.push_back(place(operand));
      call.inputs.resize(std::max(call.inputs.size(), (*node.op->inputs).size()));
      for (Value result : node.results) call.results.push_back(place(result));
    }
  }

  const Graph& graph_;
  CallList& list_;
  KernelCache cache_;
  std::vector<Place> places_;  // of root values
  std::vector<Value> root_;
};

}  // namespace

const KernelChoice& KernelCache::support(const OpCall& call, const std::string& path, const std::vector<bool>& is_param) {
  static const KernelChoice nothing;
  if (backend_ == nullptr) return nothing;
  std::string key = key_of(call, is_param);
  if (const auto known = choices_.find(key); known != choices_.end()) return known->second;
  return choices_.emplace(std::move(key), backend_->support(call, path, is_param)).first->second;
}

CallList lower(std::shared_ptr<const Graph> graph, const LowerOptions& options) {
  CallList list;
  list.graph = std::move(graph);
  Lowering(*list.graph, list, options).run();
  if (!options.strict || options.backend == nullptr) return list;
  if (std::string refused = refusals_text(list); !refused.empty())
    throw UnsupportedError("backend '" + options.backend->name() + "' has no kernel for\n" + refused +
                           "leave out --strict to run these calls on the reference");
  return list;
}

}  // namespace espalier::lower
