#include "core/base/error.h"
#include "core/base/rng.h"
#include "core/prune/certificate.h"
#include "plugins/prune_adapter.h"
#include "sdk/validator/tests.h"

namespace espalier::validator {
namespace {

const TinyModel& tiny() { return tiny_model(); }

std::unique_ptr<prune::PruneStrategy> made(const Subject& subject) {
  return plugins::make_pruner(*subject.component, values_of(*subject.component, accepted_sets(subject)));
}

/// Rows as text.
std::string rows_text(const prune::StrategyRows& rows) {
  std::string text;
  for (const auto& row : rows.rows) text += row.path + " " + std::to_string(static_cast<int>(row.kind)) + "\n";
  return text + (rows.done ? "done" : "more");
}

template <typename F>
auto or_skip(const Subject& subject, const F& f) -> decltype(f()) {
  try {
    return f();
  } catch (const UserError& error) {
    skip("it refuses the validator's model: " + refusal_of(error, *subject.component));
  }
}

/// What run_strategy asks with.
prune::AskOptions ask(const Subject& subject) {
  prune::AskOptions options{.weights = tiny().weights, .seed = subject.seed};
  options.calibrate = [&subject](const model::BlockTree&, const io::TensorSourcePtr&) {
    return input_of(tiny(), subject.seed).calibration;
  };
  return options;
}

void sound_plan(const Subject& subject) {
  const auto strategy = made(subject);
  or_skip(subject, [&] { strategy->next(input_of(tiny(), subject.seed)); });  // rows are checked as they come
  for (const plugins::ParamSpec& spec : subject.component->params)
    if (spec.required) skip("it has the required parameter " + spec.name + ": a plan by a made-up value says nothing");
  try {
    const prune::RemovalPlan plan = prune::run_strategy(*made(subject), tiny().tree, ask(subject)).plan;
    if (plan.removals.empty()) warn("it removes nothing from the validator's model with its defaults");
    const model::BlockTree student = prune::apply_plan(tiny().tree, plan);
    const prune::Certificate certificate = prune::certify(tiny().tree, plan, student);
    if (!certificate.holds) fail("its plan does not hold: " + certificate.describe());
  } catch (const UserError& error) {
    fail(std::string("its rows are no plan: ") + error.what());
  }
}

void same_rows(const Subject& subject) {
  const auto rows = [&] { return rows_text(made(subject)->next(input_of(tiny(), subject.seed))); };
  const std::string first = or_skip(subject, rows);
  if (rows() != first) fail("the same model, seed and metrics give other rows at the second instance");
}

void state_resumes(const Subject& subject) {
  const auto whole = made(subject);
  or_skip(subject, [&] { whole->next(input_of(tiny(), subject.seed)); });
  const std::string state = whole->save();
  if (state.empty()) skip("it has no state");
  const auto resumed = made(subject);
  resumed->load(state);
  prune::StrategyInput second = input_of(tiny(), subject.seed);
  second.stage = 1;
  if (rows_text(whole->next(second)) != rows_text(resumed->next(second)))
    fail("an instance that loads the state goes on otherwise");
  if (whole->save() != resumed->save()) fail("a state that was loaded is saved as other bytes");
}

void bad_states(const Subject& subject) {
  const auto first = made(subject);
  or_skip(subject, [&] { first->next(input_of(tiny(), subject.seed)); });
  const std::string good = first->save();
  if (good.empty()) skip("it has no state");
  for (uint64_t draw = 0; draw < 40; ++draw) {
    std::string state = good;
    const uint64_t bits = rng::bits(subject.seed, 5, draw);
    if (draw < 20)
      state[bits % state.size()] = static_cast<char>(bits >> 32);
    else
      state.assign(bits % 4096, static_cast<char>(bits >> 40));
    const auto strategy = made(subject);
    try {
      strategy->load(state);
      strategy->next(input_of(tiny(), subject.seed));
    } catch (const Error& error) {
      refusal_of(error, *subject.component);
    }
  }
}

void few_units(const Subject& subject) {
  const std::vector<prune::Unit> none;
  std::vector<prune::Unit> one(tiny().units.begin(), tiny().units.begin() + 1);
  for (const auto* units : {&none, &std::as_const(one)}) {
    prune::StrategyInput input{*units};
    try {
      plugins::make_pruner(*subject.component, values_of(*subject.component, {}))->next(input);
    } catch (const UserError& error) {
      refusal_of(error, *subject.component);
    }
  }
}

void comes_to_an_end(const Subject& subject) {
  try {
    prune::AskOptions options = ask(subject);
    options.most = 100;  // the model has fewer units
    prune::run_strategy(*made(subject), tiny().tree, options);
  } catch (const UserError& error) {
    if (std::string(error.what()).find("must say when it is done") != std::string::npos) fail(error.what());
  }
}

}  // namespace

std::vector<Test> prune_tests() {
  return {{"ESP-R01", "its rows are a plan: known units, none twice, a structure that a config can say", Needs::kComponent,
           "esp.prune/1", sound_plan},
          {"ESP-R02", "the same question gives the same rows", Needs::kComponent, "esp.prune/1", same_rows},
          {"ESP-R03", "its state resumes it", Needs::kComponent, "esp.prune/1", state_resumes},
          {"ESP-R04", "damaged states do no harm", Needs::kComponent, "esp.prune/1", bad_states},
          {"ESP-R05", "models of no unit, and of one, do no harm", Needs::kComponent, "esp.prune/1", few_units},
          {"ESP-R06", "it says when it is done", Needs::kComponent, "esp.prune/1", comes_to_an_end}};
}

}  // namespace espalier::validator
