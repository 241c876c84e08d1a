#include "core/train/recipe.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "core/base/files.h"
#include "core/base/text.h"
#include "core/train/overrides.h"
#include "core/train/trained_noise.h"

namespace espalier::train {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kFile = "file:", kExec = "exec:";

constexpr double kMostWeight = 1e9;  // of a loss and of a term

class Reader {
 public:
  Reader(Recipe& recipe, ErrorList& errors)
      : recipe_(recipe), errors_(errors), file_(recipe.file.string()), top_(*recipe.root, file_, "recipe", errors) {}

  void run() {
    model("teacher", recipe_.teacher);
    student();
    data();
    diffusion();
    calibration();
    train();
    losses();
    metrics();
    stages();
    losses_of_stages();
    top_.finish();
    if (!recipe_.root->contains("teacher") && !recipe_.root->contains("student"))
      errors_.add(file_ +
                  ": neither [teacher] nor [student] names a model; a recipe without [teacher] trains from scratch and "
                  "needs [student]");
  }

 private:
  using Table = const toml::table*;

  /// Takes a number within [low, high].
  void number(io::TomlReader& reader, const char* key, double low, double high, double& to) {
    const std::optional<double> value = reader.number(key);
    if (!value) return;
    if (*value < low || *value > high)
      reader.fault(key, std::string("'") + key + "' must be from " + text(low) + " to " + text(high));
    else
      to = *value;
  }
  template <typename T>
  void integer(io::TomlReader& reader, const char* key, int64_t low, int64_t high, T& to) {
    const std::optional<int64_t> value = reader.integer(key);
    if (!value) return;
    if (*value < low || *value > high)
      reader.fault(key, std::string("'") + key + "' must be from " + std::to_string(low) + " to " + std::to_string(high));
    else
      to = static_cast<T>(*value);
  }
  static std::string text(double v) {
    std::string out = std::to_string(v);
    out.erase(out.find_last_not_of('0') + 1);
    if (out.back() == '.') out.pop_back();
    return out;
  }
  void choice(io::TomlReader& reader, const char* key, const std::vector<std::string>& choices, std::string& to) {
    const std::optional<std::string> value = reader.string(key);
    if (!value) return;
    if (std::find(choices.begin(), choices.end(), *value) == choices.end())
      reader.fault(key, std::string("'") + key + "' must be one of " + join(choices, ", ") + ", not '" + printable(*value) + "'" +
                            did_you_mean(*value, choices));
    else
      to = *value;
  }

  /// A path relative to the recipe, which must be there. It is written back absolute, for the resolved recipe.
  std::optional<fs::path> path_at(io::TomlReader& reader, const toml::table& table, const char* key) {
    const std::optional<std::string> given = reader.string(key);
    if (!given) return std::nullopt;
    const fs::path path = absolute(*given, *table.get(key));
    if (!fs::exists(path)) reader.fault(key, "'" + printable(*given) + "' is not there (looked for " + path.string() + ")");
    *const_cast<toml::table&>(table).get(key)->as_string() = path.string();  // the recipe's own copy; the node keeps its place
    return path;
  }
  /// Links stay as they are: what a link's name says (".json", "unet"), the file it leads to need not.
  fs::path absolute(const std::string& given, const toml::node& node) const {
    const auto& of = node.source().path;  // of --set that is no file
    const bool other = of != nullptr && *of != file_ && fs::is_regular_file(*of);
    const fs::path path = (fs::absolute(other ? fs::path(*of) : recipe_.file).parent_path() / given).lexically_normal();
    return path.has_filename() ? path : path.parent_path();  // "unet/"
  }

  void model(const char* key, std::optional<fs::path>& to) {
    const Table table = top_.table(key);
    if (table == nullptr) return;
    io::TomlReader reader(*table, file_, std::string("[") + key + "]", errors_);
    reader.require("model");
    to = path_at(reader, *table, "model");
    reader.finish();
  }

  void student() {
    const Table table = top_.table("student");
    if (table == nullptr) return;
    io::TomlReader reader(*table, file_, "[student]", errors_);
    reader.require("model");
    recipe_.student = path_at(reader, *table, "model");
    std::string init = "weights";
    choice(reader, "init", {"weights", "random"}, init);
    recipe_.random_student = init == "random";
    reader.finish();
  }

  void data() {
    const Table table = top_.table("data");
    if (table == nullptr) {
      errors_.add(file_ + ": recipe has no [data]");
      return;
    }
    io::TomlReader reader(*table, file_, "[data]", errors_);
    DataSpec& data = recipe_.data;
    reader.require("source");
    choice(reader, "source", {"tensors", "cache"}, data.source);
    if (data.source == "tensors") {
      reader.require("files");
      files(reader, *table);
    } else if (data.source == "cache") {
      reader.require("path");
      if (const auto path = path_at(reader, *table, "path")) data.path = *path;
      integer(reader, "validation_rows", 0, 1 << 30, data.validation_rows);
      number(reader, "caption_dropout", 0, 1, data.caption_dropout);
      data.shuffle = reader.boolean("shuffle").value_or(true);
    }
    if (!data.source.empty()) reader.finish();
  }

  void files(io::TomlReader& reader, const toml::table& table) {
    const auto names = reader.strings("files");
    if (!names) return;
    toml::array resolved;
    for (const std::string& name : *names) {
      recipe_.data.files.push_back(absolute(name, *table.get("files")));
      if (!fs::exists(recipe_.data.files.back())) reader.fault("files", "'" + printable(name) + "' is not there");
      resolved.push_back(recipe_.data.files.back().string());
    }
    if (names->empty()) reader.fault("files", "'files' is empty; file k is the batch of step k");
    const_cast<toml::table&>(table).insert_or_assign("files", resolved);
  }

  void diffusion() {
    const Table table = top_.table("diffusion");
    const size_t faults = errors_.messages().size();
    const toml::table nothing;
    io::TomlReader reader(table ? *table : nothing, file_, "[diffusion]", errors_);
    std::string prediction = "epsilon";
    choice(reader, "prediction_type", {"epsilon", "v_prediction"}, prediction);
    recipe_.predicts_v = prediction == "v_prediction";
    choice(reader, "schedule", {"scaled_linear", "linear", "squaredcos_cap_v2"}, recipe_.schedule.name);
    number(reader, "beta_start", 1e-9, 0.999, recipe_.schedule.beta_start);
    number(reader, "beta_end", 1e-9, 0.999, recipe_.schedule.beta_end);
    reader.finish();
    if (recipe_.teacher && errors_.messages().size() == faults) as_the_teacher(reader);
  }

  void calibration() {
    const Table table = top_.table("calibration");
    if (table == nullptr) return;
    io::TomlReader reader(*table, file_, "[calibration]", errors_);
    reader.require("batches");
    integer(reader, "batches", 1, 1 << 20, recipe_.calibration_batches);
    reader.finish();
  }

  /// A student learns on the noise of its teacher: keys that [diffusion] leaves out are the teacher's, the others must be.
  void as_the_teacher(io::TomlReader& reader) {
    if (!fs::exists(*recipe_.teacher)) return;  // reported
    const std::optional<TrainedNoise> noise = trained_noise(*recipe_.teacher, errors_);
    if (!noise) return;
    if (!reader.has("prediction_type")) recipe_.predicts_v = noise->predicts_v;
    if (!reader.has("schedule")) recipe_.schedule.name = noise->schedule.name;
    if (!reader.has("beta_start")) recipe_.schedule.beta_start = noise->schedule.beta_start;
    if (!reader.has("beta_end")) recipe_.schedule.beta_end = noise->schedule.beta_end;
    for (const NoiseDifference& each : noise_differences({{}, recipe_.predicts_v, recipe_.schedule}, *noise))
      reader.fault(each.key,
                   fmt::format("'{}' is {}, but the teacher was trained with {} ({}); leave the key out to train as it was",
                               each.key, each.ours, each.theirs, noise->file.string()));
  }

  /// The same of the teacher of a later stage, which has no say in what [diffusion] is.
  void same_noise(io::TomlReader& stage, const fs::path& teacher) {
    if (!fs::exists(teacher)) return;  // reported
    const std::optional<TrainedNoise> noise = trained_noise(teacher, errors_);
    if (!noise) return;
    for (const NoiseDifference& each : noise_differences({{}, recipe_.predicts_v, recipe_.schedule}, *noise))
      stage.fault("teacher", fmt::format("this teacher was trained with {} {} ({}), but this recipe trains with {}", each.key,
                                         each.theirs, noise->file.string(), each.ours));
  }

  /// A loss as text or a pruner as a program: its path becomes absolute, for the resolved recipe too.
  void named_file(std::string_view carrier, io::TomlReader& reader, const toml::table& table, PluginUse& use) {
    const std::string given = use.id.substr(carrier.size());
    toml::node& node = *const_cast<toml::table&>(table).get("use");  // the recipe's own copy
    use.file = absolute(given, node);
    if (!fs::is_regular_file(use.file))
      reader.fault("use", "'" + printable(given) + "' is not there (looked for " + use.file.string() + ")");
    use.id = std::string(carrier) + use.file.string();
    *node.as_string() = use.id;
  }

  void losses() {
    const std::vector<Table> rows = top_.tables("loss");
    if (rows.empty()) errors_.add(file_ + ": recipe has no [[loss]]; begin with use = \"espalier.loss.task\"");
    for (size_t i = 0; i < rows.size(); ++i) {
      // Other keys are the plugin's parameters: whoever knows the plugin reports unknown ones.
      io::TomlReader reader(*rows[i], file_, "[[loss]] " + std::to_string(i), errors_);
      LossSpec loss;
      reader.require("use");
      loss.plugin = {reader.string("use").value_or(""), rows[i], reader.place("use"), {}};
      if (loss.plugin.id.starts_with(kFile)) named_file(kFile, reader, *rows[i], loss.plugin);
      loss.name = reader.string("name").value_or("");
      const auto is_control = [](unsigned char c) { return c < 0x20 || c == 0x7f; };
      if (std::any_of(loss.name.begin(), loss.name.end(), is_control))
        reader.fault("name",
                     "'name' is a key of metrics.jsonl and may hold no control characters, not '" + printable(loss.name) + "'");
      number(reader, "weight", 0, kMostWeight, loss.weight);
      integer(reader, "start", 0, int64_t{1} << 40, loss.start);
      integer(reader, "end", 0, int64_t{1} << 40, loss.end);
      if (loss.end != 0 && loss.end <= loss.start) reader.fault("end", "'end' must be after 'start'");
      if (const toml::array* stages = reader.array("stages")) stages_of(reader, *stages, loss);
      if (const Table weights = reader.table("weights"))
        for (const auto& [glob, node] : *weights) {
          const std::optional<double> factor = node.value<double>();
          if (!factor || !node.is_number() || !(*factor >= 0 && *factor <= kMostWeight))  // NaN is neither
            errors_.add(io::place_of(node, file_) + ": the weight of '" + printable(glob.str()) +
                        "' must be a number from 0 to " + text(kMostWeight));
          else
            loss.weights.emplace_back(glob.str(), *factor);
        }
      recipe_.losses.push_back(std::move(loss));
    }
  }

  void metrics() {
    const std::vector<Table> rows = top_.tables("metric");
    for (size_t i = 0; i < rows.size(); ++i) {
      io::TomlReader reader(*rows[i], file_, "[[metric]] " + std::to_string(i), errors_);
      MetricSpec metric;
      reader.require("use");
      metric.plugin = {reader.string("use").value_or(""), rows[i], reader.place("use"), {}};
      metric.name = reader.string("name").value_or("");
      integer(reader, "pictures", 1, 1 << 20, metric.pictures);
      integer(reader, "steps", 1, 1000, metric.steps);
      number(reader, "guidance", 1, 100, metric.guidance);
      recipe_.metrics.push_back(std::move(metric));
    }
  }

  void stages_of(io::TomlReader& reader, const toml::array& given, LossSpec& loss) {
    for (const toml::node& node : given) {
      const std::optional<int64_t> stage = node.is_integer() ? node.value<int64_t>() : std::nullopt;
      if (!stage || *stage < 0)
        return reader.fault("stages", "'stages' must be numbers of stages, from 0: those in which this loss is there");
      loss.stages.push_back(static_cast<size_t>(*stage));
    }
    if (given.empty()) reader.fault("stages", "'stages' is empty; leave it out for a loss of all stages");
  }

  /// Each stage of a loss is there, and each stage that trains has a loss.
  void losses_of_stages() {
    for (const LossSpec& loss : recipe_.losses)
      for (const size_t stage : loss.stages)
        if (stage >= recipe_.stages.size())
          errors_.add(fmt::format("{}: 'stages' has {}, and the recipe's {} stage{} numbered from 0", loss.plugin.place, stage,
                                  recipe_.stages.size(), recipe_.stages.size() == 1 ? " is" : "s are"));
    for (size_t i = 0; i < recipe_.stages.size() && !recipe_.losses.empty(); ++i)
      if (std::none_of(recipe_.losses.begin(), recipe_.losses.end(), [i](const LossSpec& loss) { return loss.in_stage(i); }))
        errors_.add(fmt::format("{}: no [[loss]] is there in stage {}; each 'stages' leaves it out", file_, i));
  }

  void train() {
    const Table table = top_.table("train");
    if (table == nullptr) {
      errors_.add(file_ + ": recipe has no [train]");
      return;
    }
    io::TomlReader reader(*table, file_, "[train]", errors_);
    TrainSpec& train = recipe_.train;
    if (!top_.has("stage")) reader.require("steps");
    integer(reader, "steps", 0, int64_t{1} << 40, train.steps);
    integer(reader, "batch_size", 1, 1 << 20, train.batch_size);
    integer(reader, "accumulate", 1, 1 << 20, train.accumulate);
    integer(reader, "seed", 0, INT64_MAX, train.seed);
    if (reader.has("clip_norm")) {
      double clip = 1;
      number(reader, "clip_norm", 1e-12, 1e12, clip);
      train.clip_norm = clip;
    }
    std::string dtype = "f32";
    choice(reader, "save_dtype", {"f32", "f16", "bf16"}, dtype);
    train.save_dtype = *parse_dtype(dtype);
    std::string precision = "f32";
    choice(reader, "precision", {"f32", "bf16"}, precision);
    train.precision = *parse_dtype(precision);
    integer(reader, "checkpoint_every", 1, int64_t{1} << 40, train.checkpoint_every);
    integer(reader, "keep_checkpoints", 1, 1000, train.keep_checkpoints);
    integer(reader, "validate_every", 0, int64_t{1} << 40, train.validate_every);
    std::string weights = "packed";
    choice(reader, "teacher_weights", {"packed", "mapped"}, weights);
    train.teacher_mapped = weights == "mapped";
    integer(reader, "recompute_above_mib", 0, int64_t{1} << 40, train.recompute_above_mib);
    optimizer(reader);
    lr_schedule(reader);
    if (const Table ema = reader.table("ema")) {
      io::TomlReader inner(*ema, file_, "[train.ema]", errors_);
      double decay = 0.9999;
      inner.require("decay");
      number(inner, "decay", 0, 1, decay);
      train.ema_decay = decay;
      inner.finish();
    }
    reader.finish();
  }

  void optimizer(io::TomlReader& train) {
    const Table table = train.table("optimizer");
    if (table == nullptr) return;
    io::TomlReader reader(*table, file_, "[train.optimizer]", errors_);
    OptimizerSpec& spec = recipe_.train.optimizer;
    choice(reader, "use", {"adamw", "adamw8bit", "adafactor"}, spec.use);
    if (spec.factored()) {
      spec.lr = 1e-2;
      spec.eps = std::numeric_limits<float>::epsilon();
      spec.weight_decay = 0;
      number(reader, "beta2_decay", -10, 0, spec.beta2_decay);
      number(reader, "min_rms", 1e-30, 1e3, spec.min_rms);
      number(reader, "clip_rms", 1e-30, 1e9, spec.clip_rms);
    }
    number(reader, "lr", 0, 1e3, spec.lr);
    number(reader, "weight_decay", 0, 1e3, spec.weight_decay);
    number(reader, "eps", 0, 1, spec.eps);
    if (const toml::array* betas = spec.factored() ? nullptr : reader.array("betas")) {
      const auto beta = [&](size_t i) { return betas->size() == 2 ? betas->get(i)->value<double>() : std::nullopt; };
      const auto first = beta(0), second = beta(1);
      if (!first || !second || *first < 0 || *first >= 1 || *second < 0 || *second >= 1)
        reader.fault("betas", "'betas' must be two numbers, each at least 0 and below 1");
      else
        spec.betas = {*first, *second};
    }
    reader.finish();
  }

  void lr_schedule(io::TomlReader& train) {
    const Table table = train.table("lr_schedule");
    if (table == nullptr) return;
    io::TomlReader reader(*table, file_, "[train.lr_schedule]", errors_);
    LrSchedule& spec = recipe_.train.lr_schedule;
    choice(reader, "use", {"constant", "cosine"}, spec.use);
    integer(reader, "warmup", 0, int64_t{1} << 40, spec.warmup);
    if (spec.use == "cosine") number(reader, "final_share", 0, 1, spec.final_share);
    std::string per = "run";
    choice(reader, "per", {"run", "stage"}, per);
    spec.per_stage = per == "stage";
    reader.finish();
  }

  void stages() {
    const std::vector<Table> rows = top_.tables("stage");
    for (size_t i = 0; i < rows.size(); ++i) stage(*rows[i], i);
    if (recipe_.stages.empty()) recipe_.stages.push_back({.steps = recipe_.train.steps});
  }

  void stage(const toml::table& table, size_t i) {
    io::TomlReader reader(table, file_, "[[stage]] " + std::to_string(i), errors_);
    StageSpec stage;
    stage.steps = recipe_.train.steps;
    if (recipe_.train.steps == 0) reader.require("steps");
    integer(reader, "steps", 0, int64_t{1} << 40, stage.steps);
    if (const Table prune = reader.table("prune")) {
      io::TomlReader inner(*prune, file_, "prune", errors_);
      inner.require("use");
      stage.prune = PluginUse{inner.string("use").value_or(""), prune, inner.place("use"), {}};
      if (stage.prune->id.starts_with(kExec)) named_file(kExec, inner, *prune, *stage.prune);
      if (!recipe_.teacher && !recipe_.student) inner.fault("use", "there is no [teacher] to prune");
    }
    stage.teacher = path_at(reader, table, "teacher");
    if (stage.teacher && !recipe_.teacher)
      reader.fault("teacher", "a stage can switch teachers only where the recipe has a [teacher]");
    if (stage.teacher && recipe_.teacher) same_noise(reader, *stage.teacher);
    if (const Table until = reader.table("until")) {
      io::TomlReader inner(*until, file_, "until", errors_);
      Gate gate;
      inner.require("metric");
      gate.metric = inner.string("metric").value_or("");
      gate.below = inner.number("below");
      gate.above = inner.number("above");
      if (gate.below.has_value() == gate.above.has_value()) inner.fault({}, "until needs either 'below' or 'above'");
      inner.finish();
      stage.until = gate;
    }
    std::string on_fail = "rollback";
    choice(reader, "on_fail", {"rollback", "continue", "stop"}, on_fail);
    stage.on_fail = on_fail == "rollback" ? OnFail::kRollback : on_fail == "stop" ? OnFail::kStop : OnFail::kContinue;
    if (reader.has("on_fail") && !stage.until)
      reader.fault("on_fail", "'on_fail' says what a failed gate does, and there is no 'until'");
    reader.finish();
    recipe_.stages.push_back(std::move(stage));
  }

  Recipe& recipe_;
  ErrorList& errors_;
  std::string file_;
  io::TomlReader top_;
};

}  // namespace

const std::vector<std::string>& loss_host_keys() {
  static const std::vector<std::string> keys{"use", "name", "weight", "weights", "start", "end", "stages"};
  return keys;
}
const std::vector<std::string>& prune_host_keys() {
  static const std::vector<std::string> keys{"use"};
  return keys;
}

const std::vector<std::string>& metric_host_keys() {
  static const std::vector<std::string> keys{"use", "name", "pictures", "steps", "guidance"};
  return keys;
}

bool LossSpec::in_stage(size_t stage) const {
  return stages.empty() || std::find(stages.begin(), stages.end(), stage) != stages.end();
}

int64_t Recipe::planned_steps() const {
  int64_t sum = 0;
  for (const StageSpec& stage : stages) sum += stage.steps;
  return sum;
}

Recipe read_recipe(const fs::path& file, const std::vector<std::string>& sets, ErrorList& errors) {
  auto root = std::make_shared<toml::table>(io::parse_toml(read_text(file), file.string()));
  for (const std::string& set : sets) lay_over(*root, set, errors);
  return recipe_of_table(file, std::move(root), errors);
}

Recipe recipe_of_table(const fs::path& file, std::shared_ptr<toml::table> root, ErrorList& errors) {
  Recipe recipe;
  recipe.file = file;
  recipe.root = std::move(root);
  Reader(recipe, errors).run();
  return recipe;
}

}  // namespace espalier::train
