#pragma once
// What the page shows, as plain values: all that is read, measured and drawn is here before a line of HTML is written.

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/model/block_tree.h"
#include "core/model/model.h"
#include "core/report/run_metrics.h"

namespace espalier::report {

/// A row of the table of sizes.
struct ModelFacts {
  std::string name;  // "emoji-teacher/student-ema"
  int64_t parameters = 0, tensors = 0, resnets = 0, attentions = 0, transformer_blocks = 0;
  double flops = 0;  // of one forward of one sample at the run's size
  uint64_t weight_bytes = 0;
  std::string dtype;                              // of the weights in their file
  double forward_ms = 0, slowest_forward_ms = 0;  // of a batch; median and most; 0: not measured
  std::vector<model::LoaderVerdict> loaders;
};

/// One attempt at a stage.
struct StageFacts {
  int64_t stage = 0, attempt = 0;
  int64_t first_step = 0, end_step = 0;  // its training rows are [first_step, end_step)
  std::vector<std::string> removed;      // block paths of the base
  int64_t parameters = 0;                // of the student after these removals
  std::string gate, outcome;
  std::optional<float> value;                 // of the gate's metric at the end
  bool kept = true;                           // false: rolled back
  std::map<std::string, std::string> places;  // block path in its student → in the base
};

/// Pictures of the same rows by several models.
struct PictureColumn {
  std::string name;               // "teacher"
  std::string fault;              // why it has none
  std::vector<std::string> pngs;  // bytes, one per caption
};
struct PictureFacts {
  std::string why_none;  // why there are no columns at all
  std::string settings;  // "ddim, 25 steps, guidance 5, seed 0, …"
  std::string rows;      // "8 held-out rows"
  std::vector<std::string> captions;
  int64_t side_px = 0;  // of the larger side
  std::vector<PictureColumn> columns;
};

struct Facts {
  std::string run;                   // the folder's name
  std::optional<ModelFacts> before;  // the teacher, or the student that the recipe starts from; absent: trained from scratch
  ModelFacts after;
  bool has_teacher = false;
  int64_t steps = 0, samples_per_step = 0;
  int64_t batch = 0, height = 0, width = 0, channels = 0, tokens = 0;  // what was measured
  int64_t forwards = 0;                                                // how many each median is of
  std::string backend;
  std::vector<StageFacts> stages;
  RunMetrics metrics;
  model::BlockTree base;                   // what the removals are on
  std::map<std::string, int64_t> removed;  // block path of the base → stage that took it; -1: before this run
  PictureFacts pictures;
  std::string recipe;                                        // recipe.resolved.toml
  std::vector<std::pair<std::string, std::string>> lineage;  // name, value: seed, versions, hashes, …
};

/// The page. Guarantees: text from files is escaped; refers to nothing outside itself; the same facts give the same bytes.
std::string to_html(const Facts& facts);

}  // namespace espalier::report
