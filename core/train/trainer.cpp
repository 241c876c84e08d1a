#include "core/train/trainer.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>

#include "core/base/error.h"
#include "core/train/first_non_finite.h"
#include "core/train/optimizer.h"

namespace espalier::train {
namespace {

using Clock = std::chrono::steady_clock;
void add(const std::vector<float>& values, std::vector<double>& sums) {
  sums.resize(values.size());
  for (size_t k = 0; k < values.size(); ++k) sums[k] += values[k];
}

double ms_since(Clock::time_point begin) { return std::chrono::duration<double, std::milli>(Clock::now() - begin).count(); }

}  // namespace

Trainer::Trainer(const Recipe& recipe, const Services& services, const Losses& losses, size_t stage, data::Source& source,
                 Student& student, const model::BlockTree* teacher_tree, Teacher teacher, RunMetrics* run_metrics)
    : recipe_(recipe),
      services_(services),
      losses_(losses),
      stage_(stage),
      source_(source),
      student_(student),
      teacher_tree_(teacher_tree),
      teacher_(std::move(teacher)),
      run_metrics_(run_metrics),
      alpha_bars_(distill::alpha_bars(recipe.schedule)) {}

Trainer::~Trainer() = default;

BatchStep& Trainer::made(std::unique_ptr<BatchStep>& step, size_t bucket, const std::optional<TrainingOptions>& options) {
  if (step != nullptr) return *step;
  notes_.clear();
  distill::JointGraph joint =
      joint_graph(recipe_, losses_, stage_, student_.structure(), teacher_tree_, source_.buckets().at(bucket), &notes_);
  if (loss_weights_ == nullptr) loss_weights_ = std::make_unique<LossWeights>(joint.terms, recipe_.losses);
  terms_ = joint.terms;
  logged_ = joint.logged;
  require_same_params(joint, bucket);
  student_.set_loss_params(joint.params, recipe_.train.seed, recipe_.train.optimizer);
  std::shared_ptr<TeacherStep> values;
  if (teacher_.shared != nullptr && teacher_tree_ != nullptr) {
    distill::TeacherCut cut = distill::cut_teacher(joint);
    std::shared_ptr<TeacherStep>& of_bucket = values_[bucket];
    if (of_bucket == nullptr) of_bucket = std::make_shared<TeacherStep>(cut, teacher_, services_.backend);
    values = of_bucket;
    joint = std::move(cut.student);
  }
  step = std::make_unique<BatchStep>(joint, options, student_, teacher_, services_.backend, values);
  return *step;
}

// Executables of other picture sizes, and the update, hold the addresses of the losses' parameters.
void Trainer::require_same_params(const distill::JointGraph& joint, size_t bucket) {
  std::map<std::string, TensorType> params;
  for (const distill::LossParam& param : joint.params) params.emplace(param.name, param.type);
  if (!params_) params_ = params;
  if (*params_ == params) return;
  const data::BatchShape& shape = source_.buckets().at(bucket);
  for (const auto& [name, type] : params)
    if (const auto at = params_->find(name); at == params_->end() || !(at->second == type))
      throw UserError(fmt::format(
          "[{}] is {} for pictures of {}x{}, and {} for others; a parameter of a loss may not depend on their size", name,
          to_string(type), shape.height, shape.width, at == params_->end() ? "not there" : to_string(at->second)));
  throw UserError("[loss] its parameters depend on the size of the pictures; they may not");
}

const std::vector<distill::JointTerm>& Trainer::terms() {
  if (terms_.empty()) training_step(0);
  return terms_;
}

const std::vector<float>& Trainer::weights_at(int64_t planned) { return weights_now_ = loss_weights_->at(planned); }

void Trainer::stop(const Position& at, const std::string& what, const data::Batch& batch) const {
  const std::string where = first_non_finite(teacher_tree_, teacher_, student_, batch, alpha_bars_, services_.backend);
  throw Error(
      fmt::format("[step {}] the {} is not finite; the first value that is not: {}. The student is as it was before this "
                  "step, and --resume would come to the same: start a new run with a lower [train.optimizer] lr or with "
                  "[train] clip_norm",
                  at.step, what, where));
}

void Trainer::clear_gradients() {
  if (has_own_memory(services_.backend) && zeros_ == nullptr) {
    uint64_t most = 0;
    for (const TrainedTensor& tensor : student_.tensors()) most = std::max(most, tensor.gradient.type().bytes());
    zeros_ = services_.backend->allocate(most);
    services_.backend->copy(zeros_->data(), std::vector<std::byte>(most).data(), most);
  }
  for (TrainedTensor& tensor : student_.tensors()) tensor.gradient.clear(services_.backend, zeros_ ? zeros_->data() : nullptr);
}

NamedNumbers Trainer::step(const Position& at, Metrics* metrics) {
  const auto begin = Clock::now();
  terms();  // makes the losses' parameters, whose addresses the update keeps
  if (update_ == nullptr) update_ = std::make_unique<Update>(student_, recipe_.train.optimizer, services_.backend);
  const int64_t parts = recipe_.train.accumulate;
  if (parts > 1) clear_gradients();
  double total = 0;
  std::vector<double> sums, logged;
  data::Batch batch;
  for (int64_t part = 0; part < parts; ++part) {
    const auto asked = Clock::now();
    batch = source_.batch(at.step * parts + part);
    time_.data += ms_since(asked);
    BatchStep& run = training_step(batch.bucket);
    const StepResult result = run.run({false, at.step * parts + part}, batch, alpha_bars_, weights_at(at.planned));
    const StepTime split = run.last_time();
    time_.data += split.files;
    time_.teacher += split.teacher, time_.student += split.student, time_.backward += split.backward;
    const bool finite = std::all_of(result.terms.begin(), result.terms.end(), [](float v) { return std::isfinite(v); });
    if (!std::isfinite(result.total) || !finite) stop(at, "loss", batch);
    total += result.total;
    add(result.terms, sums);
    add(result.logged, logged);
  }
  const auto updating = Clock::now();
  double squares = 0;
  for (float each : update_->squared_norms()) squares += each;
  const double norm = std::sqrt(squares) / static_cast<double>(parts);
  if (!std::isfinite(norm)) stop(at, "gradient", batch);
  NamedNumbers row{{"total", static_cast<float>(total / static_cast<double>(parts))}};
  for (size_t k = 0; k < sums.size(); ++k)
    row.emplace_back(terms_[k].key, static_cast<float>(sums[k] / static_cast<double>(parts)));
  for (size_t k = 0; k < logged.size(); ++k)
    row.emplace_back(logged_[k].key, static_cast<float>(logged[k] / static_cast<double>(parts)));
  row.emplace_back("grad_norm", static_cast<float>(norm));
  const TrainSpec& train = recipe_.train;
  const bool of_stage = train.lr_schedule.per_stage;
  const double lr = learning_rate(train.optimizer, train.lr_schedule, of_stage ? at.stage_step : at.planned,
                                  of_stage ? recipe_.stages[stage_].steps : recipe_.planned_steps());
  if (metrics != nullptr) metrics->row(at.step, row, {{"lr", static_cast<float>(lr)}, {"stage", static_cast<float>(at.stage)}});
  const double scale = train.clip_norm ? std::min(1.0, *train.clip_norm / (norm + 1e-6)) : 1.0;
  const double decay = train.ema_decay ? ema_decay(*train.ema_decay, at.planned + 1) : 0;
  update_->step(hyper_of(train.optimizer, lr, scale / static_cast<double>(parts), at.planned + 1), static_cast<float>(decay));
  time_.update += ms_since(updating);
  time_.all += ms_since(begin);
  ++time_.steps;
  return row;
}

NamedNumbers Trainer::validate(const Position& at) {
  const int64_t batches = source_.validation_batches();
  NamedNumbers row;
  if (batches == 0) return row;
  double total = 0;
  std::vector<double> sums, logged;
  if (run_metrics_ != nullptr) run_metrics_->begin();
  for (int64_t i = 0; i < batches; ++i) {
    const data::Batch batch = source_.validation_batch(i);
    BatchStep& run = validation_step(batch.bucket);
    const StepResult result = run.run({true, i}, batch, alpha_bars_, weights_at(at.planned));
    total += result.total;
    add(result.terms, sums);
    add(result.logged, logged);
    if (!std::isfinite(total)) stop(at, "loss of a held-out batch", batch);
    if (run_metrics_ != nullptr && run_metrics_->reads_outputs())
      run_metrics_->add_outputs(result.predictions, batch.tensors.at("timestep"));
  }
  for (size_t k = 0; k < sums.size(); ++k)
    row.emplace_back("val/" + terms_[k].key, static_cast<float>(sums[k] / static_cast<double>(batches)));
  for (size_t k = 0; k < logged.size(); ++k)
    row.emplace_back("val/" + logged_[k].key, static_cast<float>(logged[k] / static_cast<double>(batches)));
  row.emplace_back("val/total", static_cast<float>(total / static_cast<double>(batches)));
  return row;
}

}  // namespace espalier::train
