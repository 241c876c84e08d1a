#include "core/report/draw_pictures.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "core/base/error.h"
#include "core/base/interrupt.h"
#include "core/base/progress.h"
#include "core/base/text.h"
#include "core/data/cache.h"
#include "core/data/codec.h"
#include "core/data/held_out.h"
#include "core/sample/choose_scheduler.h"
#include "core/sample/draw_rows.h"
#include "core/sample/png.h"

namespace espalier::report {
namespace {

constexpr size_t kRows = 8;
constexpr int kSteps = 25;       // as `sample` draws when nothing is said
constexpr double kGuidance = 5;  // likewise
constexpr uint64_t kSeed = 0;    // likewise
constexpr int64_t kMostSide_px = 512;

/// Rows that the run trains on, then held-out ones: half of each where there are both.
struct Rows {
  std::vector<size_t> trained, held_out;
  std::string text() const {
    if (held_out.empty()) return fmt::format("{} rows of the cache, evenly", trained.size());
    return fmt::format("{} rows of the cache that the run trains on and {} that are held out", trained.size(), held_out.size());
  }
};

Rows choose_rows(const data::Cache& cache, const std::vector<std::string>& held_out_ids) {
  std::vector<size_t> trained, held_out;
  for (const std::string& id : held_out_ids) held_out.push_back(cache.find(id));
  const std::set<size_t> apart(held_out.begin(), held_out.end());
  for (size_t row = 0; row < cache.rows().size(); ++row)
    if (apart.count(row) == 0) trained.push_back(row);
  Rows rows{{}, data::evenly(held_out, trained.empty() ? kRows : kRows / 2)};
  rows.trained = data::evenly(trained, kRows - rows.held_out.size());
  return rows;
}

std::vector<std::string> png_files(const std::vector<sample::Picture>& pictures) {
  std::vector<std::string> files;
  for (const sample::Picture& picture : pictures) files.push_back(sample::encode_png(picture));
  return files;
}

std::string why_none(const train::DataSpec& data) {
  return data.source == "cache" ? "" : "the run's data are replayed batches, which have no captions";
}

}  // namespace

PictureFacts draw_pictures(const train::FinishedRun& run, data::Source& source, const NamedModels& models) {
  PictureFacts facts;
  facts.why_none = why_none(run.recipe.data);
  if (!facts.why_none.empty()) return facts;
  const data::Cache cache(run.recipe.data.path);
  const data::CacheInfo& info = cache.info();
  if (std::find(data::codec_names().begin(), data::codec_names().end(), info.codec) == data::codec_names().end()) {
    facts.why_none = fmt::format(
        "latents of the codec '{}' are not decoded here; espalier sample --latents writes them for a "
        "program that can",
        printable(info.codec));
    return facts;
  }
  const Rows chosen = choose_rows(cache, data::held_out_ids(source));
  facts.rows = chosen.text();
  std::vector<size_t> rows = chosen.trained;
  rows.insert(rows.end(), chosen.held_out.begin(), chosen.held_out.end());
  std::vector<exec::FloatTensor> latents;
  for (const size_t row : rows) {
    facts.captions.push_back(cache.rows()[row].caption + (facts.captions.size() < chosen.trained.size() ? "" : " (held out)"));
    exec::FloatTensor each = cache.latents(row);
    each.shape = Shape{1, each.shape[0], each.shape[1], each.shape[2]};
    latents.push_back(std::move(each));
  }
  const std::vector<sample::Picture> originals = sample::decode_pictures(info, latents);
  for (const sample::Picture& picture : originals) facts.side_px = std::max({facts.side_px, picture.width, picture.height});
  if (facts.side_px > kMostSide_px) {
    facts.why_none = fmt::format("pictures of {} pixels are too large for a page; espalier sample draws them", facts.side_px);
    return facts;
  }
  facts.columns.push_back({"the data", "", png_files(originals)});

  const auto prediction = run.recipe.predicts_v ? sample::Prediction::kV : sample::Prediction::kEpsilon;
  const auto sampler = sample::make_ddim(sample::scheduler_of_training(run.recipe.schedule, prediction), kSteps);
  facts.settings = fmt::format("ddim, {} steps, guidance {}, seed {}", kSteps, kGuidance, kSeed);
  Progress progress("drawing the report's pictures", rows.size() * models.size() * static_cast<size_t>(kSteps));
  for (const auto& [name, model] : models) {
    PictureColumn column{name, "", {}};
    try {
      sample::DrawOptions options{.sampler = sampler.get(), .seed = kSeed, .guidance = kGuidance};
      options.on_step = [&](size_t pictures) { progress.add(pictures); };
      const auto open = sample::open_unet(*model, {.backend = run.services.backend, .mapped = run.recipe.train.teacher_mapped});
      column.pngs = png_files(sample::decode_pictures(info, sample::draw_rows(open, cache, rows, options)));
    } catch (const Interrupted&) {
      throw;
    } catch (const Error& error) {
      column.fault = error.what();
    }
    facts.columns.push_back(std::move(column));
  }
  return facts;
}

}  // namespace espalier::report
