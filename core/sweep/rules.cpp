#include <nlohmann/json.hpp>

#include "core/base/text.h"
#include "core/sweep/sweep_file.h"

namespace espalier::sweep {

using Json = nlohmann::ordered_json;

std::string to_json(const Rules& rules) {
  const auto& [objective, stop, workers, share] = rules;
  Json json{{"objective", {{"metric", objective.metric}, {"maximize", objective.maximize}}},
            {"stop",
             {{"use", stop.use}, {"min_steps", stop.min_steps}, {"reduction", stop.reduction}, {"min_trials", stop.min_trials}}},
            {"workers",
             {{"retries", workers.retries},
              {"on_failure", workers.on_failure},
              {"max_failures", workers.max_failures ? Json(*workers.max_failures) : Json()},
              {"stall_after", workers.stall_after_s},
              {"keep_checkpoints", workers.keep_checkpoints},
              {"reports", workers.reports}}},
            {"share", {{"teacher_values", share.teacher_values}, {"limit_gib", share.limit_gib}}}};
  return json.dump(1) + "\n";
}

Rules rules_from_json(const std::string& text, const std::string& place) {
  try {
    const Json json = Json::parse(text);
    const Json &objective = json.at("objective"), &stop = json.at("stop"), &workers = json.at("workers");
    Rules rules{{objective.at("metric"), objective.at("maximize"), ""},
                {stop.at("use"), stop.at("min_steps"), stop.at("reduction"), stop.at("min_trials"), ""},
                {},
                {}};
    rules.workers.retries = workers.at("retries");
    rules.workers.on_failure = workers.at("on_failure");
    if (!workers.at("max_failures").is_null()) rules.workers.max_failures = workers.at("max_failures").get<int64_t>();
    rules.workers.stall_after_s = workers.at("stall_after");
    rules.workers.keep_checkpoints = workers.at("keep_checkpoints");
    rules.workers.reports = workers.at("reports");
    if (json.contains("share")) {  // not in sweeps that were begun before there was anything to share
      rules.share.teacher_values = json.at("share").at("teacher_values");
      rules.share.limit_gib = json.at("share").at("limit_gib");
    }
    return rules;
  } catch (const nlohmann::json::exception& error) {
    throw UserError("[" + place + "] does not hold a sweep's rules: " + printable(error.what(), 200));
  }
}

}  // namespace espalier::sweep
