// A set is a word of U letters, one for each gate in the order in which the calls meet them. Sets that share a prefix share the
// calls up to the first letter that differs: the recursion below walks the tree of words.

#include "core/calibrate/evaluate_sets.h"

#include <algorithm>
#include <numeric>

#include "core/exec/gated_calls.h"
#include "core/ops/gate.h"
#include "core/ops/registry.h"

namespace espalier::calibrate {
namespace {

class Walk {
 public:
  Walk(exec::Executor& executor, const std::vector<size_t>& first_calls, const std::vector<std::vector<size_t>>& sets,
       std::vector<float>& gates, const std::vector<const void*>& inputs, const std::vector<void*>& outputs, uint64_t most_bytes,
       const std::function<void(size_t)>& done)
      : executor_(executor),
        first_(first_calls),
        gates_(gates),
        inputs_(inputs),
        outputs_(outputs),
        left_(most_bytes),
        done_(done),
        order_(first_calls.size()) {
    std::iota(order_.begin(), order_.end(), size_t{0});
    std::stable_sort(order_.begin(), order_.end(), [&](size_t a, size_t b) { return first_[a] < first_[b]; });
    for (const std::vector<size_t>& set : sets) {
      std::vector<bool>& shut = shut_.emplace_back(first_calls.size(), false);
      for (const size_t gate : set) shut[gate] = true;
    }
  }

  void run() {
    std::vector<size_t> all(shut_.size());
    std::iota(all.begin(), all.end(), size_t{0});
    if (!all.empty()) walk(all, 0, 0);
  }

 private:
  /// `sets` agree on the first `letter` gates, and the calls before `call` have been run for them.
  void walk(const std::vector<size_t>& sets, size_t letter, size_t call) {
    while (letter < order_.size() && agree(sets, order_[letter])) ++letter;
    if (letter == order_.size()) {
      run_for(sets.front(), call, executor_.list().calls.size());
      for (const size_t set : sets) done_(set);
      return;
    }
    const size_t gate = order_[letter], at = std::max(call, first_[gate]);
    run_for(sets.front(), call, at);
    std::vector<size_t> shut, open;
    for (const size_t set : sets) (shut_[set][gate] ? shut : open).push_back(set);
    const uint64_t bytes = executor_.snapshot_bytes(at);
    if (bytes > left_) {
      walk(shut, letter + 1, at);
      return walk(open, letter + 1, 0);
    }
    left_ -= bytes;
    {
      const exec::Snapshot here = executor_.snapshot(at);
      walk(shut, letter + 1, at);
      executor_.restore(here);
    }
    left_ += bytes;  // given back before the second half: a chain of single units keeps one snapshot at a time
    walk(open, letter + 1, at);
  }

  bool agree(const std::vector<size_t>& sets, size_t gate) const {
    return std::all_of(sets.begin(), sets.end(), [&](size_t set) { return shut_[set][gate] == shut_[sets.front()][gate]; });
  }

  void run_for(size_t set, size_t first, size_t last) {
    for (size_t i = 0; i < gates_.size(); ++i) gates_[i] = shut_[set][i] ? 0.0F : 1.0F;
    if (first < last) executor_.run_calls(first, last, inputs_, outputs_);
  }

  exec::Executor& executor_;
  const std::vector<size_t>& first_;
  std::vector<float>& gates_;
  const std::vector<const void*>& inputs_;
  const std::vector<void*>& outputs_;
  uint64_t left_;
  const std::function<void(size_t)>& done_;
  std::vector<size_t> order_;            // gates as the calls meet them
  std::vector<std::vector<bool>> shut_;  // by set, by gate
};

}  // namespace

std::vector<size_t> first_calls(const lower::CallList& list, size_t gates) {
  std::vector<size_t> first(gates, list.calls.size());
  const std::vector<std::vector<exec::InputGate>> over = exec::gates_over(list);
  for (size_t i = list.calls.size(); i-- > 0;) {
    const Node& node = list.graph->node(list.calls[i].node);
    if (node.is(ops::gate_def)) first[static_cast<size_t>(node.attrs.i("index"))] = i;
    for (const exec::InputGate& gate : over[i]) first[gate.element] = i;
  }
  return first;
}

void evaluate_sets(exec::Executor& executor, const std::vector<size_t>& first_calls, const std::vector<std::vector<size_t>>& sets,
                   std::vector<float>& gates, const std::vector<const void*>& inputs, const std::vector<void*>& outputs,
                   uint64_t most_bytes, const std::function<void(size_t)>& done) {
  Walk(executor, first_calls, sets, gates, inputs, outputs, most_bytes, done).run();
}

}  // namespace espalier::calibrate
