#include "core/train/student.h"

#include <algorithm>
#include <map>

#include "core/base/error.h"
#include "core/base/rng.h"
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

void copy_all(const TrainedTensor& from, TrainedTensor& to) {
  copy(from.weight, to.weight);
  for (size_t k = 0; k < to.slots.size(); ++k) copy(from.slots[k], to.slots[k]);
  if (to.ema) copy(*from.ema, *to.ema);
}

TrainedTensor make_loss_tensor(const distill::LossParam& param, const OptimizerSpec& optimizer, bool with_ema) {
  model::TensorSpec spec;
  spec.name = param.name;
  spec.shape = param.type.shape;
  TrainedTensor tensor = make_tensor(spec, optimizer, with_ema);
  tensor.of_loss = true;
  return tensor;
}

void begin(const distill::LossParam& param, uint64_t seed, std::span<float> values) {
  const double scale = param.init.scale;
  const uint64_t stream = rng::stream_of(param.name);
  for (size_t i = 0; i < values.size(); ++i) switch (param.init.kind) {
      case distill::ParamInit::kZeros:
        values[i] = 0;
        break;
      case distill::ParamInit::kConstant:
        values[i] = static_cast<float>(scale);
        break;
      case distill::ParamInit::kNormal:
        values[i] = static_cast<float>(scale * rng::normal(seed, stream, i));
        break;
      case distill::ParamInit::kIdentity: {
        const auto columns = static_cast<size_t>(param.type.shape.rank() == 2 ? param.type.shape[1] : 1);
        values[i] = i / columns == i % columns ? static_cast<float>(scale) : 0;
      }
    }
}

/// Weights of a student as a source that points at them.
class StudentWeights final : public io::TensorSource {
 public:
  StudentWeights(const std::vector<TrainedTensor>& tensors, bool ema) {
    for (const TrainedTensor& tensor : tensors) {
      if (tensor.of_loss) continue;
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
    : structure_(std::move(structure)), with_ema_(with_ema) {
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
  for (const TrainedTensor& tensor : tensors_) count += tensor.of_loss ? 0 : tensor.weight.type().shape.elements();
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
  auto student = std::make_unique<Student>(std::move(next), nullptr, optimizer, with_ema_);
  std::map<std::string_view, const TrainedTensor*> old;
  for (const TrainedTensor& tensor : tensors_) old.emplace(tensor.name, &tensor);
  ESP_CHECK(specs.size() == student->tensors_.size());
  for (size_t i = 0; i < specs.size(); ++i) {
    ESP_CHECK(specs[i].name == student->tensors_[i].name);
    copy_all(*old.at(specs[i].origin), student->tensors_[i]);
  }
  for (const TrainedTensor& tensor : tensors_)
    if (tensor.of_loss)
      copy_all(tensor,
               student->tensors_.emplace_back(make_loss_tensor({tensor.name, tensor.weight.type(), {}}, optimizer, with_ema_)));
  return student;
}

void Student::set_loss_params(const std::vector<distill::LossParam>& params, uint64_t seed, const OptimizerSpec& optimizer) {
  // Executables keep the addresses of what they are bound to: nothing moves unless something changes.
  const size_t own = static_cast<size_t>(
      std::find_if(tensors_.begin(), tensors_.end(), [](const TrainedTensor& tensor) { return tensor.of_loss; }) -
      tensors_.begin());
  const auto same = [](const TrainedTensor& tensor, const distill::LossParam& param) {
    return tensor.name == param.name && tensor.weight.type() == param.type;
  };
  if (std::equal(tensors_.begin() + static_cast<std::ptrdiff_t>(own), tensors_.end(), params.begin(), params.end(), same)) return;
  std::vector<TrainedTensor> before;
  while (!tensors_.empty() && tensors_.back().of_loss) {
    before.push_back(std::move(tensors_.back()));
    tensors_.pop_back();
  }
  for (const distill::LossParam& param : params) {
    const auto known =
        std::find_if(before.begin(), before.end(), [&](const TrainedTensor& tensor) { return same(tensor, param); });
    if (known != before.end()) {
      tensors_.push_back(std::move(*known));
      continue;
    }
    TrainedTensor& made = tensors_.emplace_back(make_loss_tensor(param, optimizer, with_ema_));
    begin(param, seed, {reinterpret_cast<float*>(made.weight.bytes().data()), static_cast<size_t>(param.type.shape.elements())});
    if (made.ema) copy(made.weight, *made.ema);
  }
}

io::TensorSourcePtr Student::weights(bool ema) const { return std::make_shared<StudentWeights>(tensors_, ema); }

}  // namespace espalier::train
