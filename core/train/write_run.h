#pragma once
// What a finished run leaves: the student, its plan and origins, the manifest, the model card.

#include <filesystem>

#include "core/data/source.h"
#include "core/train/checkpoint.h"
#include "core/train/models.h"
#include "core/train/services.h"

namespace espalier::train {

struct FinishedRun {
  const Recipe& recipe;
  const Services& services;
  const Models& models;
  const Student& student;
  const RunState& state;
  const data::Source& source;
  std::filesystem::path folder;
};

/// Writes RUN/student/, with EMA RUN/student-ema/, RUN/{plan.toml,origin.json,README.md}, what the report service makes, and last
/// RUN/manifest.json, whose presence says that the run is complete. Errors: UserError; Error, before anything is written, naming
/// the first weight that is not finite, or that is not as [train] save_dtype, and what to do.
void write_run(const FinishedRun& run);

/// Writes one student folder: unet/, the rest of the teacher's pipeline, plan.toml, origin.json, and a model card of its own.
void write_trained_student(const FinishedRun& run, bool ema, const std::filesystem::path& to);

}  // namespace espalier::train
