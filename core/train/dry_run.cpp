#include "core/train/dry_run.h"

#include <fmt/format.h>

#include <ostream>

#include "core/base/memory_limit.h"
#include "core/base/terminal.h"
#include "core/base/text.h"
#include "core/train/make_losses.h"
#include "core/train/measure_step.h"
#include "core/train/needs.h"
#include "core/train/open_data.h"
#include "core/train/stage_pruners.h"

namespace espalier::train {
namespace {

std::string duration(double seconds) {
  if (seconds < 120) return fmt::format("{:.0f} s", seconds);
  if (seconds < 7200) return fmt::format("{:.0f} min", seconds / 60);
  return fmt::format("{:.1f} h", seconds / 3600);
}

void print_stages(const Recipe& recipe, const std::vector<StagePreview>& stages, std::ostream& out) {
  using Align = terminal::Table::Align;
  terminal::Table table({Align::kRight, Align::kRight, Align::kRight, Align::kRight, Align::kLeft});
  table.header({"stage", "steps", "blocks removed", "parameters", "gate"});
  for (size_t i = 0; i < stages.size(); ++i) {
    const StageSpec& spec = recipe.stages[i];
    std::string gate;
    if (spec.until)
      gate = spec.until->metric + (spec.until->below ? " below " : " above ") +
             fmt::format("{}", spec.until->below.value_or(spec.until->above.value_or(0)));
    table.row({std::to_string(i), with_commas(spec.steps), std::to_string(stages[i].step.removals.size()),
               with_commas(stages[i].parameters), gate});
  }
  out << table.text();
  for (size_t i = 0; i < stages.size(); ++i)
    for (const prune::Removal& removal : stages[i].step.removals) out << fmt::format("  stage {} removes {}\n", i, removal.path);
  out << "\nthe student at the end:\n";
  for (const model::LoaderVerdict& verdict : model::loader_verdicts(stages.back().after.tree))
    out << "  " << verdict.loader << (verdict.opens ? " opens it as " + verdict.as : " does not open it: " + verdict.reason)
        << '\n';
}

void print_device(const Needs& needs, const lower::Backend& backend, std::ostream& out) {
  const Work& work = needs.step_work;
  out << "\nmemory of the device, " << backend.describe() << ":\n" << memory_table(needs.device);
  if (backend.memory_bytes() > 0) out << "it has " << human_bytes(backend.memory_bytes()) << '\n';
  out << fmt::format("\nforward and backward of a batch: {} calls, {:.2f} TFLOP in products, {:.3f} TFLOP else, {} moved\n",
                     with_commas(static_cast<int64_t>(work.calls)), work.product_flops / 1e12, work.other_flops / 1e12,
                     human_bytes(static_cast<uint64_t>(work.bytes)));
}

}  // namespace

void dry_run(const Recipe& recipe, const Services& services, std::ostream& out) {
  const Models models = open_models(recipe);
  const auto source = open_data(recipe);
  check_data_fits(recipe, models, *source);
  const Losses losses = make_losses(recipe, services, *source);
  const std::vector<StagePreview> stages =
      preview_stages(recipe, models, services, losses, *source, calibrate_on_data(recipe, services.backend));
  for (const std::string& note : models.notes) out << note << '\n';
  for (const std::string& line : source->describe()) out << line << '\n';
  out << '\n';
  print_stages(recipe, stages, out);
  const Needs needs = needs_of(recipe, models, stages, services, losses, *source);
  out << "\ndisk    " << human_bytes(needs.disk_bytes) << " for checkpoints and the student\nmemory:\n"
      << memory_table(needs.memory) << "available " << human_bytes(available_memory_bytes()) << '\n';
  if (!needs.device.empty()) print_device(needs, *services.backend, out);
  out.flush();
  require_memory(needs, services.backend);
  if (services.backend != nullptr && services.backend->plans_only()) {
    out << "\nnothing was run: " << services.backend->describe() << '\n';
    return;
  }

  const size_t stage = largest_stage(stages);
  const double step_s = measure_step_s(recipe, models, stages, stage, services, losses, *source);
  out << fmt::format("\nmeasured on {}, with the student of stage {}: {:.3f} s for each step, {} for {} steps; peak memory {}\n",
                     services.backend ? services.backend->describe() : "the reference", stage, step_s,
                     duration(step_s * static_cast<double>(recipe.planned_steps())), with_commas(recipe.planned_steps()),
                     human_bytes(peak_memory_bytes()));
}

}  // namespace espalier::train
