#include "core/calibrate/calibrate.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>

#include "core/base/error.h"
#include "core/base/interrupt.h"
#include "core/base/progress.h"
#include "core/calibrate/calibration_batch.h"
#include "core/calibrate/evaluate_sets.h"
#include "core/calibrate/gated_graph.h"
#include "core/calibrate/unit_gates.h"
#include "core/inspect/session.h"

namespace espalier::calibrate {
namespace {

using prune::GateGradient;
using prune::Score;
using prune::UnitName;
using prune::UnitStatistics;
using Set = std::vector<size_t>;  // gates, ascending

/// An executor with a buffer for each input and output, by name.
struct Runner {
  enum class Use { kRun, kCut, kTime };
  Runner(const Graph& graph, const CalibrationData& data, const io::TensorSourcePtr& weights, Use use) {
    inspect::SessionOptions session;
    session.backend = data.backend;
    lower::CallList list = inspect::compile(graph, session);
    exec::ExecOptions options;
    options.progress = false;
    for (const Value v : list.inputs) {
      const auto& made = inputs.emplace_back(list.graph->def(v).label, static_cast<size_t>(list.graph->type(v).shape.elements()));
      if (made.first == "gates") gates = inputs.size() - 1;
    }
    for (size_t i = 0; i < list.outputs.size(); ++i)
      outputs.emplace_back(list.graph->outputs()[i].name,
                           std::vector<float>(static_cast<size_t>(list.graph->type(list.outputs[i]).shape.elements())));
    options.timed = use == Use::kTime;
    if (use == Use::kCut) options.cuts = cuts = first_calls(list, inputs[gates].second.size());
    executor = std::make_unique<exec::Executor>(std::move(list), data.backend, weights, options);
    for (auto& [name, values] : inputs) input_data.push_back(values.data());
    for (auto& [name, values] : outputs) output_data.push_back(values.data());
    std::fill(inputs[gates].second.begin(), inputs[gates].second.end(), 1.0F);
  }
  void load(const CalibrationBatch& batch) {
    for (auto& [name, values] : inputs) {
      const auto from = batch.tensors.find(name);
      if (from == batch.tensors.end()) continue;
      if (from->second.values.size() != values.size())
        throw UserError(fmt::format("[calibration] the data's {} has {} values, the model reads {}", name,
                                    from->second.values.size(), values.size()));
      values = from->second.values;  // of equal size: the addresses stay
    }
  }
  void run() { executor->run(input_data, output_data); }
  std::vector<float>& output(const char* name) {
    return std::find_if(outputs.begin(), outputs.end(), [&](const auto& each) { return each.first == name; })->second;
  }
  std::vector<float>& input(const char* name) {
    return std::find_if(inputs.begin(), inputs.end(), [&](const auto& each) { return each.first == name; })->second;
  }

  std::vector<std::pair<std::string, std::vector<float>>> inputs, outputs;
  std::vector<const void*> input_data;
  std::vector<void*> output_data;
  std::vector<size_t> cuts;
  size_t gates = 0;
  std::unique_ptr<exec::Executor> executor;
};

class OnBatches final : public prune::Calibration {
 public:
  OnBatches(const model::BlockTree& tree, io::TensorSourcePtr weights, const CalibrationData& data)
      : tree_(tree), weights_(std::move(weights)), data_(data), gates_(tree) {}

  int64_t batches() const override { return data_.batches; }
  void weights_are_in(io::TensorSourcePtr weights) override { weights_ = std::move(weights); }

  std::vector<Score> evaluate(const std::vector<std::vector<UnitName>>& sets) override {
    std::vector<Set> wanted;
    for (const std::vector<UnitName>& names : sets) wanted.push_back(set_of(names));
    std::vector<Set> fresh;
    for (const Set& set : wanted)
      if (scores_.find(set) == scores_.end() && std::find(fresh.begin(), fresh.end(), set) == fresh.end()) fresh.push_back(set);
    if (!fresh.empty()) run_sets(fresh);
    std::vector<Score> out;
    for (const Set& set : wanted) out.push_back(scores_.at(set));
    return out;
  }

  std::vector<GateGradient> gate_gradients(const std::vector<UnitName>& units) override {
    if (gradients_.empty()) run_gradients();
    std::vector<GateGradient> out;
    for (const UnitName& unit : units) {
      GateGradient& sum = out.emplace_back();
      const std::vector<size_t> gates = gates_.of(unit);
      for (const std::vector<double>& batch : gradients_) {
        double of_batch = 0;
        for (const size_t gate : gates) of_batch += batch[gate];
        sum.mean += of_batch / static_cast<double>(gradients_.size());
        sum.magnitude += std::abs(of_batch) / static_cast<double>(gradients_.size());
      }
    }
    return out;
  }

  std::vector<UnitStatistics> statistics(const std::vector<UnitName>& units) override {
    if (statistics_.empty()) run_statistics();
    std::vector<UnitStatistics> out;
    for (const UnitName& unit : units) {
      UnitStatistics& mean = out.emplace_back();
      const std::vector<size_t> gates = gates_.of(unit);
      for (const size_t gate : gates) {
        mean.cosine += statistics_[gate].cosine / static_cast<double>(gates.size());
        mean.relative_norm += statistics_[gate].relative_norm / static_cast<double>(gates.size());
      }
    }
    return out;
  }

  std::vector<double> latency(const std::vector<UnitName>& units, double& whole) override {
    if (call_ms_.empty()) time_calls();
    whole = 0;
    std::vector<double> out(units.size());
    std::vector<const std::vector<std::string>*> rows;
    for (const UnitName& unit : units) rows.push_back(&gates_.find(unit).rows);
    for (const auto& [path, ms] : call_ms_) {
      whole += ms;
      const auto inside = [&path = path](const std::string& row) {
        return path.compare(0, row.size(), row) == 0 && (path.size() == row.size() || path[row.size()] == '.');
      };
      for (size_t i = 0; i < units.size(); ++i)
        if (std::any_of(rows[i]->begin(), rows[i]->end(), inside)) out[i] += ms;
    }
    return out;
  }

 private:
  Set set_of(const std::vector<UnitName>& names) const {
    Set set;
    for (const UnitName& name : names) {
      const std::vector<size_t> gates = gates_.of(name);
      set.insert(set.end(), gates.begin(), gates.end());
    }
    std::sort(set.begin(), set.end());
    set.erase(std::unique(set.begin(), set.end()), set.end());
    return set;
  }

  /// Calls f(batch, runner) for each batch; one executable for each picture size.
  template <typename Build, typename F>
  void each_batch(const char* task, Runner::Use use, uint64_t work, const Build& build, const F& f) {
    if (data_.batches < 1) throw UserError("[calibration] batches must be at least 1");
    Progress progress(task, work * static_cast<uint64_t>(data_.batches));
    std::map<size_t, std::unique_ptr<Runner>> runners;
    for (int64_t i = 0; i < data_.batches; ++i) {
      check_interrupt();
      const CalibrationBatch batch = calibration_batch(data_.source->batch(i), data_.alpha_bars, data_.predicts_v);
      std::unique_ptr<Runner>& runner = runners[batch.bucket];
      if (runner == nullptr)
        runner = std::make_unique<Runner>(build(tree_, data_.source->buckets().at(batch.bucket)), data_, weights_, use);
      runner->load(batch);
      f(*runner, progress);
    }
  }

  void run_sets(const std::vector<Set>& sets) {
    std::vector<Score> sums(sets.size());
    each_batch("trying removals", Runner::Use::kCut, sets.size(), score_graph, [&](Runner& runner, Progress& progress) {
      std::vector<float>& gates = runner.inputs[runner.gates].second;
      std::fill(gates.begin(), gates.end(), 1.0F);
      runner.run();
      runner.input("reference") = runner.output("sample");
      evaluate_sets(*runner.executor, runner.cuts, sets, gates, runner.input_data, runner.output_data, data_.snapshot_bytes,
                    [&](size_t set) {
                      check_interrupt();
                      sums[set].task += runner.output("task")[0] / static_cast<double>(data_.batches);
                      sums[set].output += runner.output("output")[0] / static_cast<double>(data_.batches);
                      progress.add(1);
                    });
    });
    for (size_t i = 0; i < sets.size(); ++i) scores_[sets[i]] = sums[i];
  }

  void run_gradients() {
    each_batch("gradients of gates", Runner::Use::kRun, 1, gradient_graph, [&](Runner& runner, Progress& progress) {
      runner.run();
      const std::vector<float>& values = runner.output("gradients");
      gradients_.emplace_back(values.begin(), values.end());
      progress.add(1);
    });
  }

  void run_statistics() {
    std::vector<double> cosine(gates_.count()), moved(gates_.count()), norm(gates_.count());
    each_batch("statistics of units", Runner::Use::kRun, 1, statistics_graph, [&](Runner& runner, Progress& progress) {
      runner.run();
      const std::vector<float>& values = runner.output("statistics");
      for (size_t i = 0; i < gates_.count(); ++i)
        cosine[i] += values[3 * i] / static_cast<double>(data_.batches), moved[i] += values[3 * i + 1],
            norm[i] += values[3 * i + 2];
      progress.add(1);
    });
    for (size_t i = 0; i < gates_.count(); ++i)
      statistics_.push_back({cosine[i], norm[i] > 0 ? std::sqrt(moved[i] / norm[i]) : 0});
  }

  void time_calls() {
    constexpr size_t kRuns = 5;
    const data::Batch first = data_.source->batch(0);
    Runner runner(score_graph(tree_, data_.source->buckets().at(first.bucket)), data_, weights_, Runner::Use::kTime);
    runner.load(calibration_batch(first, data_.alpha_bars, data_.predicts_v));
    const lower::CallList& list = runner.executor->list();
    std::vector<std::vector<double>> ms(list.calls.size());
    for (size_t run = 0; run <= kRuns; ++run) {
      check_interrupt();
      runner.run();
      for (size_t i = 0; run > 0 && i < ms.size(); ++i) ms[i].push_back(runner.executor->call_ms()[i]);  // the first run packs
    }
    for (size_t i = 0; i < ms.size(); ++i) {
      std::nth_element(ms[i].begin(), ms[i].begin() + kRuns / 2, ms[i].end());
      call_ms_.emplace_back(list.graph->node(list.calls[i].node).path, ms[i][kRuns / 2]);
    }
  }

  model::BlockTree tree_;
  io::TensorSourcePtr weights_;
  CalibrationData data_;
  UnitGates gates_;
  std::map<Set, Score> scores_;
  std::vector<std::vector<double>> gradients_;           // by batch, by gate
  std::vector<UnitStatistics> statistics_;               // by gate
  std::vector<std::pair<std::string, double>> call_ms_;  // block path and time of each call
};

}  // namespace

prune::CalibrationPtr calibrate(const model::BlockTree& tree, const io::TensorSourcePtr& weights, const CalibrationData& data) {
  return std::make_shared<OnBatches>(tree, weights, data);
}

}  // namespace espalier::calibrate
