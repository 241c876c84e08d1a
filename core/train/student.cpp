#include "core/train/student.h"

#include <algorithm>
#include <map>

#include "core/base/error.h"
#include "core/io/memory_source.h"

namespace espalier::train {
namespace {

TrainedTensor make_tensor(const model::TensorSpec& spec, const OptimizerSpec& optimizer, bool with_ema) {
  TrainedTensor tensor{spec.name, Buffer(f32(spec.shape)), Buffer(f32(spec.shape)), {}, nullptr};
  for (const Slot& slot : slots_of(optimizer, spec.shape)) tensor.slots.emplace_back(slot.type);
  if (with_ema) tensor.ema = std::make_unique<Buffer>(f32(spec.shape));
  return tensor;
}

void copy(const Buffer& from, Buffer& to) { std::copy(from.bytes().begin(), from.bytes().end(), to.bytes().begin()); }

/// Weights of a student as a source that points at them.
class StudentWeights final : public io::TensorSource {
 public:
  StudentWeights(const std::vector<TrainedTensor>& tensors, bool ema) {
    for (const TrainedTensor& tensor : tensors) {
      names_.push_back(tensor.name);
      buffers_[tensor.name] = ema ? tensor.ema.get() : &tensor.weight;
    }
  }
  const std::vector<std::string>& names() const override { return names_; }
  bool contains(std::string_view name) const override { return buffers_.find(name) != buffers_.end(); }
  io::TensorRef get(std::string_view name) const override {
    const auto at = buffers_.find(name);
    if (at == buffers_.end()) io::no_such_tensor(*this, name);
    return {at->second->type(), at->second->bytes()};
  }
  std::string describe() const override { return "the student in training"; }

 private:
  std::vector<std::string> names_;
  std::map<std::string, const Buffer*, std::less<>> buffers_;
};

}  // namespace

model::BlockTree own_tree(const model::BlockTree& tree) { return model::build_tree(model::config_of(tree)); }

Student::Student(Structure structure, const io::TensorSourcePtr& weights, const OptimizerSpec& optimizer, bool with_ema)
    : structure_(std::move(structure)) {
  for (const model::TensorSpec& spec : model::tensor_specs(structure_.tree)) {
    TrainedTensor& tensor = tensors_.emplace_back(make_tensor(spec, optimizer, with_ema));
    if (weights == nullptr) continue;
    const io::TensorRef from = weights->get(spec.name);
    ESP_CHECK(from.type.shape == spec.shape);
    auto to = tensor.weight.bytes().begin();
    io::convert_chunks(from, DType::kF32, [&](std::span<const std::byte> part) { to = std::copy(part.begin(), part.end(), to); });
    if (tensor.ema) copy(tensor.weight, *tensor.ema);
    weights->drop_pages(spec.name);
  }
}

uint64_t Student::state_bytes() const {
  uint64_t bytes = 0;
  for (const TrainedTensor& tensor : tensors_) {
    bytes += tensor.weight.type().bytes() + tensor.gradient.type().bytes();
    for (const Buffer& slot : tensor.slots) bytes += slot.type().bytes();
    if (tensor.ema) bytes += tensor.ema->type().bytes();
  }
  return bytes;
}

uint64_t training_bytes(const model::BlockTree& tree, const OptimizerSpec& optimizer, bool with_ema) {
  uint64_t bytes = 0;
  for (const model::TensorSpec& spec : model::tensor_specs(tree)) {
    bytes += f32(spec.shape).bytes() * (with_ema ? 3 : 2);
    for (const Slot& slot : slots_of(optimizer, spec.shape)) bytes += slot.type.bytes();
  }
  return bytes;
}

int64_t Student::parameters() const {
  int64_t count = 0;
  for (const TrainedTensor& tensor : tensors_) count += tensor.weight.type().shape.elements();
  return count;
}

Structure make_structure(const Base& base, const prune::RemovalPlan& plan) {
  const model::BlockTree cut = plan.removals.empty() ? base.tree : prune::apply_plan(base.tree, plan);
  Structure made{plan, own_tree(cut), std::nullopt};
  if (!base.origins) return made;
  made.origins.emplace();
  made.origins->teacher = base.origins->teacher;
  for (const model::TensorSpec& spec : model::tensor_specs(cut))
    if (const auto at = base.origins->tensors.find(spec.origin); at != base.origins->tensors.end())
      made.origins->tensors.emplace(spec.name, at->second);
  return made;
}

std::unique_ptr<Student> Student::pruned(const Base& base, const prune::RemovalPlan& step, const OptimizerSpec& optimizer) const {
  const prune::RemovalPlan plan = structure_.plan.removals.empty() ? step : prune::compose(base.tree, structure_.plan, step);
  Structure next = make_structure(base, plan);
  const std::vector<model::TensorSpec> specs = model::tensor_specs(prune::apply_plan(structure_.tree, step));
  const bool with_ema = !tensors_.empty() && tensors_[0].ema != nullptr;
  auto student = std::make_unique<Student>(std::move(next), nullptr, optimizer, with_ema);
  std::map<std::string_view, const TrainedTensor*> old;
  for (const TrainedTensor& tensor : tensors_) old.emplace(tensor.name, &tensor);
  ESP_CHECK(specs.size() == student->tensors_.size());
  for (size_t i = 0; i < specs.size(); ++i) {
    const TrainedTensor& from = *old.at(specs[i].origin);
    TrainedTensor& to = student->tensors_[i];
    ESP_CHECK(specs[i].name == to.name);
    copy(from.weight, to.weight);
    for (size_t k = 0; k < to.slots.size(); ++k) copy(from.slots[k], to.slots[k]);
    if (to.ema) copy(*from.ema, *to.ema);
  }
  return student;
}

io::TensorSourcePtr Student::weights(bool ema) const { return std::make_shared<StudentWeights>(tensors_, ema); }

}  // namespace espalier::train
