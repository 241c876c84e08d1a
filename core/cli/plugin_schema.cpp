// recipe.toml as JSON Schema, for editors: what the loaded plugins declare, with their docs.

#include <espalier/plugin.h>

#include <limits>
#include <memory>
#include <nlohmann/json.hpp>

#include "core/cli/plugin_commands.h"
#include "core/distill/feature_pairs.h"
#include "core/train/recipe.h"
#include "plugins/registry.h"

namespace espalier::cli {
namespace {

using Json = nlohmann::ordered_json;

Json schema_of(const plugins::ParamSpec& spec) {
  Json out{{"description", spec.doc}};
  switch (spec.kind) {
    case ESP_PARAM_BOOL:
      out["type"] = "boolean";
      if (!spec.required) out["default"] = spec.default_int != 0;
      break;
    case ESP_PARAM_INT:
      out["type"] = "integer";
      if (spec.min_int != std::numeric_limits<int64_t>::min()) out["minimum"] = spec.min_int;
      if (spec.max_int != std::numeric_limits<int64_t>::max()) out["maximum"] = spec.max_int;
      if (!spec.required) out["default"] = spec.default_int;
      break;
    case ESP_PARAM_FLOAT:
      out["type"] = "number";
      if (spec.min_float > std::numeric_limits<double>::lowest()) out["minimum"] = spec.min_float;
      if (spec.max_float < std::numeric_limits<double>::max()) out["maximum"] = spec.max_float;
      if (!spec.required) out["default"] = spec.default_float;
      break;
    case ESP_PARAM_CHOICE:
      out["enum"] = spec.choices;
      if (!spec.required) out["default"] = spec.default_string;
      break;
    case ESP_PARAM_GLOBS:
      out["type"] = "array", out["items"] = {{"type", "string"}};
      break;
    case ESP_PARAM_PAIRS: {
      const Json pair{{"type", "object"},
                      {"properties", {{"teacher", {{"type", "string"}}}, {"student", {{"type", "string"}}}}},
                      {"required", {"teacher", "student"}},
                      {"additionalProperties", false}};
      out["anyOf"] = {Json{{"enum", distill::granularities()}}, Json{{"type", "array"}, {"items", pair}}};
      break;
    }
    default:
      out["type"] = "string";
      if (!spec.required) out["default"] = spec.default_string;
  }
  return out;
}

/// One table that names a component, by `use`.
Json table_of(const plugins::Component& component, const Json& host_keys) {
  Json properties{{"use", {{"const", component.id}}}}, required{"use"};
  for (const plugins::ParamSpec& spec : component.params) {
    properties[spec.name] = schema_of(spec);
    if (spec.required) required.push_back(spec.name);
  }
  properties.update(host_keys);
  return {{"title", component.id},    {"description", component.doc}, {"type", "object"},
          {"properties", properties}, {"required", required},         {"additionalProperties", false}};
}

Json text_of(const char* pattern, const char* doc, const Json& host_keys, bool open) {
  Json properties{{"use", {{"type", "string"}, {"pattern", pattern}, {"description", doc}}}};
  properties.update(host_keys);
  return {{"type", "object"}, {"properties", properties}, {"required", {"use"}}, {"additionalProperties", open}};
}

Json tables_of(const plugins::Registry& registry, std::string_view kind, const Json& host_keys) {
  Json all = Json::array();
  for (const plugins::Component* component : registry.of_kind(kind)) all.push_back(table_of(*component, host_keys));
  return all;
}

Json number(const char* doc) { return {{"type", "number"}, {"description", doc}}; }
Json integer(const char* doc) { return {{"type", "integer"}, {"minimum", 0}, {"description", doc}}; }
Json text(const char* doc) { return {{"type", "string"}, {"description", doc}}; }
Json object() { return {{"type", "object"}}; }

void run_schema(CommandContext& context) {
  const plugins::Registry registry(plugins::request_of_process(context.plugin_files));
  const Json loss_keys{{"name", text("key of its terms in the metrics")},
                       {"weight", number("on all of its terms")},
                       {"weights", object()},
                       {"start", integer("the first step in which it counts")},
                       {"end", integer("the step before which it ends; 0: to the end")},
                       {"stages", {{"type", "array"}, {"items", integer("a stage")}}}};
  const Json metric_keys{{"name", text("key after val/")},
                         {"pictures", integer("held-out rows that are drawn")},
                         {"steps", integer("DDIM steps of each")},
                         {"guidance", number("of the pictures")}};
  Json losses = tables_of(registry, plugins::kLossKind, loss_keys);
  losses.push_back(text_of(
      "^file:", "a loss as text of ops",
      [&] {
        Json keys = loss_keys;
        keys["pairs"] = text("a granularity, of a loss that reads features");
        return keys;
      }(),
      false));
  Json pruners = tables_of(registry, plugins::kPruneKind, Json::object());
  pruners.push_back(text_of("^exec:", "a program; only with --allow-exec", Json::object(), true));
  const Json stage{{"type", "object"},
                   {"properties",
                    {{"prune", {{"oneOf", pruners}}},
                     {"steps", integer("of training")},
                     {"teacher", text("from here on")},
                     {"until", object()},
                     {"on_fail", {{"enum", {"rollback", "continue", "stop"}}}}}},
                   {"additionalProperties", false}};
  const Json schema{
      {"$schema", "https://json-schema.org/draft/2020-12/schema"},
      {"title", "espalier recipe"},
      {"type", "object"},
      {"properties",
       {{"teacher", {{"type", "object"}, {"properties", {{"model", text("a model")}}}, {"required", {"model"}}}},
        {"student", object()},
        {"data", object()},
        {"diffusion", object()},
        {"calibration", {{"type", "object"}, {"properties", {{"batches", integer("that pruners try units on")}}}}},
        {"loss", {{"type", "array"}, {"items", {{"oneOf", losses}}}}},
        {"metric", {{"type", "array"}, {"items", {{"oneOf", tables_of(registry, plugins::kMetricKind, metric_keys)}}}}},
        {"train", object()},
        {"stage", {{"type", "array"}, {"items", stage}}}}},
      {"required", {"data", "loss", "train"}},
      {"additionalProperties", false}};
  context.out << schema.dump(2) << '\n';
}

}  // namespace

void add_plugin_schema(CLI::App& plugin, CommandContext& context) {
  CLI::App* command = begin_command(
      plugin, context,
      {.name = "schema",
       .summary = "recipe.toml as JSON Schema, with the parameters of every plugin",
       .description =
           "Prints a JSON Schema (draft 2020-12) of recipes: tables that name a plugin have its parameters with types, ranges, "
           "choices, defaults and docs, so that an editor completes and checks them.",
       .examples = {
           {"espalier plugin schema > recipe.schema.json", "then, first line of a recipe: #:schema ./recipe.schema.json"}}});
  on_run(command, context, [&context] { run_schema(context); });
}

}  // namespace espalier::cli
