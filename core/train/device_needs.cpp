#include "core/train/device_needs.h"

#include "core/exec/staging.h"
#include "core/model/model.h"
#include "core/train/joint.h"
#include "core/train/step.h"

namespace espalier::train {
void DeviceParams::add(const lower::CallList& list) {
  for (Value param : list.params) {
    const TensorType& type = list.graph->type(param);
    copies_[{list.graph->def(param).label, type.dtype}] = type.bytes();
  }
}

uint64_t DeviceParams::bytes() const {
  uint64_t sum = 0;
  for (const auto& [key, bytes] : copies_) sum += exec::Staging::bytes_of(bytes);
  return sum;
}

uint64_t staged_bytes(const lower::CallList& list, const model::BlockTree& student) {
  std::set<std::string> kept;
  for (const model::TensorSpec& spec : model::tensor_specs(student)) {
    kept.insert(spec.name);
    kept.insert(gradient_name(spec.name));
  }
  uint64_t sum = 0;
  for (Value v : list.inputs)
    if (kept.count(list.graph->def(v).label) == 0) sum += exec::Staging::bytes_of(list.graph->type(v).bytes());
  for (const Output& output : list.graph->outputs())
    if (kept.count(output.name) == 0) sum += exec::Staging::bytes_of(list.graph->type(output.value).bytes());
  for (Value v : list.constants) sum += exec::Staging::bytes_of(list.graph->type(v).bytes());
  return sum;
}

uint64_t update_bytes(const model::BlockTree& student, const TrainSpec& train, const std::shared_ptr<lower::Backend>& backend) {
  const UpdateGraphs graphs = update_graphs(model::tensor_specs(student), train.optimizer, train.ema_decay.has_value());
  uint64_t sum = 0;
  for (const Graph* graph : {&graphs.norms, &graphs.update}) sum += compile_for_training(*graph, backend).arena_bytes;
  return sum + exec::Staging::bytes_of(1) * model::tensor_specs(student).size();  // a norm for each tensor
}

void Work::add(const Work& other) {
  product_flops += other.product_flops, other_flops += other.other_flops, bytes += other.bytes;
  calls += other.calls;
}

Work work_of(const lower::CallList& list) {
  Work work;
  for (const lower::Call& call : list.calls) {
    const Node& node = list.graph->node(call.node);
    const Cost cost = (*node.op->cost)(list.graph->call(node));
    work.product_flops += cost.flops, work.other_flops += cost.other_flops;
    work.bytes += cost.bytes_read + cost.bytes_written;
    ++work.calls;
  }
  return work;
}

}  // namespace espalier::train
