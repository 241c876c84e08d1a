#include "core/train/measure_step.h"

#include <chrono>

#include "core/base/memory_limit.h"

namespace espalier::train {
namespace {

constexpr int kSteps = 2;
constexpr int kStepsOnDevice = 5;  // there a run is recorded once it has come again, and replayed from then on

/// The student that `stage` trains, with all it keeps.
std::unique_ptr<Student> student_of(const Recipe& recipe, const Models& models, const std::vector<StagePreview>& stages,
                                    size_t stage) {
  release_freed_memory();
  auto student = std::make_unique<Student>(make_structure(models.base, models.start), models.weights, recipe.train.optimizer,
                                           recipe.train.ema_decay.has_value());
  for (size_t i = 0; i <= stage; ++i)
    if (!stages[i].step.removals.empty()) student = student->pruned(models.base, stages[i].step, recipe.train.optimizer);
  release_freed_memory();
  return student;
}

}  // namespace

double measure_step_s(const Recipe& recipe, const Models& models, const std::vector<StagePreview>& stages, size_t stage,
                      const Services& services, const Losses& losses, data::Source& source) {
  const std::unique_ptr<Student> student = student_of(recipe, models, stages, stage);
  const Teacher teacher{models.teacher ? models.teacher->weights : nullptr, std::make_shared<exec::SharedParams>(),
                        recipe.train.teacher_mapped};
  Trainer trainer(recipe, services, losses, stage, source, *student, models.teacher ? &models.teacher->tree : nullptr, teacher);
  double last_s = 0;
  Position at;
  const int steps = has_own_memory(services.backend) ? kStepsOnDevice : kSteps;
  for (int i = 0; i < steps; ++i) {
    const auto begin = std::chrono::steady_clock::now();
    trainer.step(at, nullptr);
    last_s = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    ++at.step, ++at.planned;
  }
  if (source.validation_batches() > 0) trainer.validate(at);  // its memory is part of what a run takes
  return last_s;
}

}  // namespace espalier::train
