#include "sdk/validator/check.h"

#include <algorithm>
#include <chrono>
#include <regex>
#include <sstream>

#include "core/base/error.h"
#include "core/base/text.h"
#include "plugins/host.h"
#include "sdk/validator/run_one.h"
#include "sdk/validator/tests.h"

namespace espalier::validator {
namespace {

std::vector<Test> all_tests() {
  std::vector<Test> all;
  for (const auto& group :
       {load_tests(), param_tests(), contract_tests(), loss_tests(), prune_tests(), metric_tests(), backend_tests()})
    all.insert(all.end(), group.begin(), group.end());
  return all;
}

/// Loads and initialises the plugin in this process, once.
const plugins::Verdict& loaded(const std::filesystem::path& file) {
  static std::vector<std::unique_ptr<plugins::Verdict>> kept;
  for (const auto& each : kept)
    if (each->file == file) return *each;
  auto verdict = std::make_unique<plugins::Verdict>(plugins::load({file, "the command line", true}));
  if (!verdict->ok) fail(verdict->reason);
  if (verdict->plugin->init != nullptr)
    plugins::checked(verdict->id, "init", [&] { return verdict->plugin->init(plugins::host_table()); });
  kept.push_back(std::move(verdict));
  return *kept.back();
}

/// "kind id" of each component, a line each.
std::string components_text(const plugins::Verdict& plugin) {
  std::string text;
  for (const plugins::Component& component : plugin.components)
    if (component.known_kind) text += component.kind + " " + component.id + "\n";
  return text;
}

class Check {
 public:
  explicit Check(const CheckOptions& options) : options_(options) {
    try {
      if (!options.only.empty()) only_.assign(options.only, std::regex::extended);
    } catch (const std::regex_error& error) {
      throw UserError("[--only] '" + printable(options.only) + "' is no regular expression: " + error.what());
    }
  }

  CheckResult run() {
    const auto begin = std::chrono::steady_clock::now();
    const std::vector<Test> tests = all_tests();
    if (!options_.only.empty() && std::none_of(tests.begin(), tests.end(), [&](const Test& test) { return chosen(test); }) &&
        !std::regex_search(std::string("ESP-L01"), only_))
      throw UserError("[--only] '" + printable(options_.only) + "' is in no test's number or promise; -v without it lists them");
    for (const Test& test : tests)
      if (test.needs == Needs::kFile) run(test, "");
    std::string components;
    TestRow row{"ESP-L01", "it loads, and says what it offers", "", Outcome::kPass, "", 0};
    run_one(
        options_, row, [&] { return components_text(loaded(options_.file)); }, &components);
    result_.rows.insert(result_.rows.begin(), row);
    if (is_bad(row.outcome)) return finish(begin);
    if (components.find("esp.prune/1") != components.npos) tiny_model();
    for (const Test& test : tests)
      if (test.needs == Needs::kLoaded) run(test, "");
    std::istringstream lines(components);
    for (std::string kind, id; lines >> kind >> id;)
      for (const Test& test : tests)
        if (test.needs == Needs::kComponent && (*test.kind == '\0' || kind == test.kind)) run(test, id);
    return finish(begin);
  }

 private:
  CheckResult finish(std::chrono::steady_clock::time_point begin) {
    result_.ms = std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - begin).count();
    return std::move(result_);
  }

  bool chosen(const Test& test) const {
    return options_.only.empty() || std::regex_search(std::string(test.id) + " " + test.name, only_);
  }

  void run(const Test& test, const std::string& id) {
    if (test.fuzz && options_.fuzz_seconds == 0) return;
    if (!chosen(test)) return;
    TestRow row{test.id, test.name, id, Outcome::kPass, "", 0};
    CheckOptions options = options_;
    if (test.fuzz) options.seconds += options.fuzz_seconds;
    run_one(options, row, [&] {
      Subject subject{options_.file, options_.seed, options_.fuzz_seconds};
      if (test.needs != Needs::kFile) subject.plugin = &loaded(options_.file);
      if (test.needs == Needs::kComponent)
        for (const plugins::Component& component : subject.plugin->components)
          if (component.id == id) subject.component = &component;
      test.run(subject);
      return std::string();
    });
    result_.rows.push_back(std::move(row));
  }

  const CheckOptions& options_;
  std::regex only_;
  CheckResult result_;
};

}  // namespace

std::string outcome_text(Outcome outcome) {
  constexpr const char* kTexts[] = {"pass", "warn", "skip", "fail", "crash", "timeout", "memory"};
  return kTexts[static_cast<int>(outcome)];
}

bool CheckResult::passed() const {
  return std::none_of(rows.begin(), rows.end(), [](const TestRow& row) { return is_bad(row.outcome); });
}

CheckResult check_plugin(const CheckOptions& options) { return Check(options).run(); }

}  // namespace espalier::validator
