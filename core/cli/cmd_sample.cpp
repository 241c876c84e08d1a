#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <chrono>
#include <memory>
#include <optional>

#include "core/base/error.h"
#include "core/base/files.h"
#include "core/base/progress.h"
#include "core/base/terminal.h"
#include "core/base/text.h"
#include "core/cli/choose_backend.h"
#include "core/cli/commands.h"
#include "core/data/codec.h"
#include "core/sample/choose_scheduler.h"
#include "core/sample/draw_rows.h"
#include "core/sample/png.h"
#include "core/sample/recipe.h"
#include "core/sample/select_rows.h"

namespace espalier::cli {
namespace {

struct Options {
  std::string model, backend = "cpu", sampler;
  std::filesystem::path cache, out, latents;
  sample::SchedulerChoice scheduler;
  std::vector<std::string> rows, sets;
  std::optional<uint64_t> random_weights;
  std::optional<int64_t> threads;
  int64_t steps = 25, columns = 0, scale = 0, at_once = 8;
  uint64_t seed = 0;
  double guidance = 5, eta = 0;
};

/// Small pictures are enlarged to about this many pixels where --scale does not say otherwise.
constexpr int64_t kEasyToSee_px = 128;
constexpr int64_t kMostSide_px = 65535;

/// CLI11 reads "-1" as the largest unsigned number.
std::string fault_of_seed(const std::string& text) {
  return text.starts_with('-') ? "a seed is 0 or more, not " + printable(text) : "";
}

/// Whether both names lead to one file, there or yet to be made.
bool same_place(const std::filesystem::path& a, const std::filesystem::path& b) {
  std::error_code fault;
  const auto place = [&](const std::filesystem::path& file) {
    return std::filesystem::weakly_canonical(std::filesystem::absolute(file), fault);
  };
  return place(a) == place(b) && !fault;
}

void check(const Options& options, const data::Cache& cache, ErrorList& errors) {
  const auto within = [&](const char* name, int64_t value, int64_t low, int64_t high) {
    if (value < low || value > high) errors.add(fmt::format("[sample] {} wants {} to {}, not {}", name, low, high, value));
  };
  within("--steps", options.steps, 1, 100'000);
  within("--columns", options.columns, 0, 1000);
  within("--scale", options.scale, 0, 64);
  within("--at-once", options.at_once, 1, 1024);
  if (!(options.guidance >= 0 && options.guidance <= 1000))
    errors.add(fmt::format("[sample] --guidance wants 0 to 1000, not {:g}", options.guidance));
  if (options.out.empty() && options.latents.empty()) errors.add("[sample] name a file for the pictures, --out F.png");
  for (const auto& [file, what] : {std::pair{options.out, "--out"}, {options.latents, "--latents"}})
    if (std::filesystem::is_directory(file)) errors.add("[" + file.string() + "] is a folder; " + what + " wants a file");
  std::string ending = options.out.extension().string();
  std::transform(ending.begin(), ending.end(), ending.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  if (!ending.empty() && ending != ".png")
    errors.add(fmt::format("[{}] --out writes a PNG; name a file that ends in .png", printable(options.out.string(), 400)));
  if (!options.out.empty() && !options.latents.empty() && same_place(options.out, options.latents))
    errors.add(fmt::format("[{}] is named by both --out and --latents; each needs a file of its own",
                           printable(options.out.string(), 400)));
  const std::string& codec = cache.info().codec;
  if (!options.out.empty() &&
      std::find(data::codec_names().begin(), data::codec_names().end(), codec) == data::codec_names().end())
    errors.add(
        fmt::format("[{}] its latents are of the codec '{}', which espalier cannot turn into pictures; leave out --out and write "
                    "them with --latents F.safetensors for a program that can",
                    cache.folder().string(), printable(codec)));
}

/// The largest picture that these rows are.
sample::Size picture_size(const data::Cache& cache, std::span<const size_t> rows) {
  const int64_t factor = data::make_codec(cache.info().codec)->factor();
  sample::Size most;
  for (const size_t row : rows) {
    const data::CacheBucket& bucket = cache.info().buckets[cache.rows()[row].bucket];
    most = {std::max(most.width, bucket.width * factor), std::max(most.height, bucket.height * factor)};
  }
  return most;
}

/// How the pictures of `rows` are laid out; known before any is drawn, so that a grid that no file holds is refused early.
sample::GridOptions layout_of(const Options& options, const data::Cache& cache, std::span<const size_t> rows) {
  sample::GridOptions grid{.columns = options.columns, .scale = options.scale};
  grid.columns = sample::grid_columns(rows.size(), grid);
  if (options.out.empty()) return grid;
  const sample::Size largest = picture_size(cache, rows);
  if (grid.scale == 0) grid.scale = std::max<int64_t>(1, kEasyToSee_px / std::max(largest.width, largest.height));
  const sample::Size whole = sample::grid_size(largest, rows.size(), grid);
  if (std::max(whole.width, whole.height) > kMostSide_px)
    throw UserError(fmt::format("[{}] would be {} x {} pixels; sides up to {} are written: lower --scale, or draw fewer rows",
                                options.out.string(), whole.width, whole.height, kMostSide_px));
  return grid;
}

void write_grid(const Options& options, const data::Cache& cache, std::span<const size_t> rows,
                std::span<const exec::FloatTensor> latents, const sample::GridOptions& layout, const sample::Recipe& recipe) {
  const sample::Picture grid = sample::grid_of(sample::decode_pictures(cache.info(), latents), layout);
  sample::write_png(options.out, grid,
                    {{"Software", recipe.program},
                     {"Description", fmt::format("{} rows of {} by {}: {}", rows.size(), options.cache.string(), options.model,
                                                 sample::recipe_line(recipe))},
                     {sample::kRecipeKey, sample::recipe_json(recipe, cache, rows)}});
}

void run_sample(const Options& options, CommandContext& context) {
  const data::Cache cache(options.cache);
  ErrorList errors;
  const auto collect = [&](const auto& part) {
    try {
      part();
    } catch (const UserError& error) {
      errors.add(error.what());
    }
  };
  std::vector<size_t> rows;
  sample::ChosenScheduler scheduler;
  std::unique_ptr<sample::Sampler> sampler;
  check(options, cache, errors);
  collect([&] { rows = sample::select_rows(cache.rows(), options.rows); });
  collect([&] {
    scheduler = sample::choose_scheduler(options.model, options.scheduler);
    sampler = sample::make_sampler(options.sampler, scheduler.config, static_cast<int>(options.steps), options.eta);
  });
  errors.throw_if_any();
  const sample::GridOptions layout = layout_of(options, cache, rows);
  // What cannot be written is refused before the work, not after it: an unpublished file leaves nothing behind.
  for (const auto& file : {options.out, options.latents})
    if (!file.empty()) collect([&] { const AtomicFile probe(file); });
  errors.throw_if_any();
  std::vector<std::string> sets = options.sets;
  if (options.threads) sets.push_back("threads=" + std::to_string(*options.threads));
  const auto backend = choose_backend(context, options.backend, sets);
  const model::Model model = model::load_model(options.model, {.random_weights = options.random_weights});
  sample::check_cache_fits(model.config, cache.info(), options.model);
  say_notes(context, model.notes);
  say_notes(context, scheduler.notes);

  const auto begin = std::chrono::steady_clock::now();
  Progress progress("sampling", rows.size() * sampler->steps());
  const auto latents = sample::draw_rows(sample::open_unet(model, {.backend = backend}), cache, rows,
                                         {.sampler = sampler.get(),
                                          .seed = options.seed,
                                          .guidance = options.guidance,
                                          .pictures_at_once = options.at_once,
                                          .on_step = [&](size_t pictures) { progress.add(pictures); }});
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();

  const sample::Recipe recipe{.program = "espalier " ESPALIER_VERSION,
                              .model = options.model,
                              .sampler = std::string(sampler->name()),
                              .scheduler = scheduler.config,
                              .steps = sampler->steps(),
                              .eta = options.eta,
                              .guidance = options.guidance,
                              .seed = options.seed,
                              .random_weights = options.random_weights,
                              .columns = layout.columns,
                              .scale = layout.scale};
  if (!options.out.empty()) write_grid(options, cache, rows, latents, layout, recipe);
  if (!options.latents.empty())
    sample::write_latents(options.latents, cache, rows, latents, sample::recipe_json(recipe, cache, rows));

  using Align = terminal::Table::Align;
  terminal::Table table({Align::kRight, Align::kRight, Align::kRight, Align::kLeft, Align::kLeft});
  table.header({"line", "column", "row", "id", "caption"});
  for (size_t i = 0; i < rows.size(); ++i) {
    const data::CacheRow& row = cache.rows()[rows[i]];
    const auto place = static_cast<int64_t>(i);
    table.row({std::to_string(place / recipe.columns + 1), std::to_string(place % recipe.columns + 1), std::to_string(rows[i]),
               printable(row.id, 40), printable(row.caption, 80)});
  }
  context.out << table.text();
  if (!scheduler.file.empty()) context.out << "scheduler  " << printable(scheduler.file.string(), 400) << '\n';
  context.out << fmt::format(
      "{}: {} picture{}, {}; {:.1f} s on {}\n", (options.out.empty() ? options.latents : options.out).string(), rows.size(),
      rows.size() == 1 ? "" : "s", sample::recipe_line(recipe), seconds, backend == nullptr ? "reference" : backend->name());
}

}  // namespace

void add_sample(CLI::App& app, CommandContext& context) {
  auto options = std::make_shared<Options>();
  CLI::App* command = begin_command(
      app, context,
      {.name = "sample",
       .summary = "pictures: rows of a cache drawn by a model",
       .description = "Draws a grid of pictures. What they are conditioned on are rows of a cache, whose codec turns latents "
                      "into pictures. The "
                      "noise of a picture depends on the seed and the row's id alone, so that two models, or a teacher and its "
                      "student, draw the "
                      "same row from the same noise. The scheduler is the model's own scheduler_config.json (in scheduler/ of "
                      "its pipeline), "
                      "or --scheduler's. The PNG carries the whole recipe as text, under the key espalier.sample.",
       .examples = {
           {"espalier sample teacher --cache emoji --rows 0-15 --out grid.png", "the first sixteen rows"},
           {"espalier sample student --cache emoji --rows 'grinning face' --rows '*cat*' --seed 3 --out cats.png",
            "by caption, and all captions with cat in them"},
           {"espalier sample teacher --cache emoji --rows 1F600 --sampler euler --steps 40 --guidance 3 --out one.png",
            "by id, another sampler"},
           {"espalier sample sdxl --cache real --rows 0-3 --latents latents.safetensors", "latents for a VAE elsewhere"}}});
  command
      ->add_option("MODEL", options->model,
                   "a diffusers folder (UNet or pipeline), a single-file checkpoint, or a UNet config.json")
      ->required();
  command->add_option("--cache", options->cache, "the cache whose rows condition the pictures")->required()->type_name("DIR");
  one_each(command->add_option(
               "--rows", options->rows,
               "index, range (0-15), id, caption, or a glob over captions and ids; also several between commas; repeatable"))
      ->required()
      ->type_name("WHICH");
  command->add_option("-o,--out", options->out, "the grid, a PNG; written whole or not at all")->type_name("F.png");
  command->add_option("--latents", options->latents, "also, or only, write the latents [N,C,H,W] as safetensors")
      ->type_name("FILE");
  command->add_option("--sampler", options->sampler, "ddim or euler; default: what the scheduler config names")
      ->type_name("NAME");
  command->add_option("--steps", options->steps, "calls of the model for each picture (25)")->type_name("N");
  command->add_option("--guidance", options->guidance, "classifier-free guidance (5); 1 leaves the unconditional half out")
      ->type_name("G");
  command->add_option("--seed", options->seed, "of the noise (0)")->type_name("N")->check(fault_of_seed);
  command->add_option("--eta", options->eta, "of ddim: share of DDPM's noise at each step (0)")->type_name("0..1");
  command->add_option("--scheduler", options->scheduler.file, "a scheduler_config.json in place of the model's own")
      ->type_name("FILE");
  command
      ->add_option("--prediction-type", options->scheduler.prediction_type,
                   "epsilon, v_prediction or sample; overrides the config's")
      ->type_name("TYPE");
  command
      ->add_option("--schedule", options->scheduler.schedule,
                   "linear, scaled_linear or squaredcos_cap_v2; overrides the config's")
      ->type_name("NAME");
  command->add_option("--spacing", options->scheduler.spacing, "leading, trailing or linspace; overrides the config's")
      ->type_name("NAME");
  command->add_option("--columns", options->columns, "of the grid; default: as square as it can be")->type_name("N");
  command->add_option("--scale", options->scale, "enlarges each pixel N times; default: small pictures to about 128")
      ->type_name("N");
  command->add_option("--at-once", options->at_once, "pictures in one call of the model (8)")->type_name("N");
  command->add_option("--backend", options->backend, "cpu, reference, or another plugin's")->type_name("NAME");
  one_each(command->add_option("--set", options->sets, "a parameter of the backend (see `plugin show`); repeatable"))
      ->type_name("k=v");
  command->add_option("--threads", options->threads, "short for --set threads=N")->type_name("N");
  command->add_option("--random-weights", options->random_weights, "weights for a lone config, the same for the same seed")
      ->type_name("SEED")
      ->check(fault_of_seed);
  on_run(command, context, [options, &context] { run_sample(*options, context); });
}

}  // namespace espalier::cli
