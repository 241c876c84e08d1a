// Plugins in use: a pruner in C and one in careless C++, a backend in C, the host's services.

#include <espalier/host.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <espalier/sdk/backend.hpp>
#include <espalier/sdk/prune.hpp>

#include "core/base/error.h"
#include "core/base/rng.h"
#include "core/io/memory_source.h"
#include "core/ops/registry.h"
#include "plugins/backend_adapter.h"
#include "plugins/host.h"
#include "plugins/prune_adapter.h"
#include "plugins/prune_services.h"
#include "plugins/registry.h"

namespace espalier::plugins {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

const Registry& zoo() {
  static const Registry registry(
      {.files = {std::string(ESPALIER_ZOO) + "/good.esp.so", std::string(ESPALIER_ZOO) + "/throws.esp.so",
                 std::string(ESPALIER_ZOO) + "/unknown_path.esp.so", std::string(ESPALIER_ZOO) + "/tiny_backend.esp.so"}});
  return registry;
}

std::unique_ptr<prune::PruneStrategy> pruner(const std::string& id, std::vector<std::string> sets = {}) {
  const Component& component = zoo().find(kPruneKind, id);
  ErrorList errors;
  const ParamValues params = resolve_params(component.params, {.sets = std::move(sets)}, id, errors);
  errors.throw_if_any();
  return make_pruner(component, params);
}

std::vector<prune::Unit> units() {
  std::vector<prune::Unit> out;
  for (int i = 0; i < 3; ++i) {
    prune::Unit unit;
    unit.kind = prune::UnitKind::kResnet;
    unit.path = "down_blocks.0.resnets." + std::to_string(i);
    unit.removable = i > 0;
    unit.why_not = i > 0 ? "" : "it changes width";
    out.push_back(unit);
  }
  return out;
}

TEST(PruneAdapter, a_pruner_in_c_reads_units_and_parameters_and_returns_rows) {
  const std::vector<prune::Unit> all = units();
  const prune::StrategyRows rows = pruner("zoo.good", {"count=2"})->next({.units = all});
  ASSERT_EQ(rows.rows.size(), 2u);
  EXPECT_EQ(rows.rows[0].path, "down_blocks.0.resnets.1");
  EXPECT_EQ(rows.rows[1].kind, prune::UnitKind::kResnet);
  EXPECT_EQ(rows.rows[1].reason, "it stands first");
  EXPECT_THAT(rows.notes, ElementsAre("counted from the front"));
  EXPECT_TRUE(rows.done);
}

TEST(PruneAdapter, a_row_for_an_unknown_unit_is_refused_with_the_nearest) {
  const std::vector<prune::Unit> all = units();
  EXPECT_THAT(
      [&] { pruner("zoo.unknown-path")->next({.units = all}); },
      ThrowsMessage<UserError>(HasSubstr("[zoo.unknown-path] remove: there is no unit 'down_blocks.7.resnets.9'; did you mean")));
}

TEST(PruneAdapter, an_exception_that_leaves_next_is_the_plugins_fault_and_harms_nobody) {
  const std::vector<prune::Unit> all = units();
  const auto strategy = pruner("zoo.throws");
  for (int i = 0; i < 3; ++i)
    EXPECT_THAT(
        [&] { strategy->next({.units = all}); },
        ThrowsMessage<Error>("[zoo.throws] an exception left next, which the plugin ABI forbids: index 7 is out of range"));
  EXPECT_EQ(pruner("zoo.good")->next({.units = all}).rows.size(), 1u);
}

OpCall linear_call(int64_t outputs) {
  return {&ops::linear_def, {f32({4, 8}), f32({outputs, 8}), TensorType{}}, {}, {f32({4, outputs})}};
}

TEST(BackendAdapter, answers_with_kernel_and_workspace_or_with_reasons) {
  const Component& component = zoo().find_backend("tiny");
  ErrorList errors;
  const ParamValues params = resolve_params(component.params, {.sets = {"refuse-over=16"}}, component.id, errors);
  const auto backend = open_backend(component, params);
  EXPECT_EQ(backend->name(), "tiny");
  EXPECT_EQ(backend->describe(), "tiny: add, mul and linear in plain C");
  EXPECT_TRUE(backend->host_accessible());
  const lower::KernelChoice yes = backend->support(linear_call(16), "mid_block", {false, true, false});
  EXPECT_TRUE(yes.accepted);
  EXPECT_EQ(yes.kernel, "tiny_c");
  EXPECT_EQ(yes.workspace_bytes, 32u);
  const lower::KernelChoice no = backend->support(linear_call(17), "mid_block", {false, true, false});
  EXPECT_FALSE(no.accepted);
  ASSERT_EQ(no.refusals.size(), 1u);
  EXPECT_EQ(no.refusals[0].kernel, "tiny_c");
  EXPECT_EQ(no.refusals[0].reason, "too many outputs");
  EXPECT_THAT([&] { open_backend(component, params, "1"); },
              ThrowsMessage<UserError>("[zoo.backend.tiny] there is no device '1'; there are tiny"));
  const std::vector<std::byte> half(32);
  EXPECT_THAT(
      [&] {
        backend->make_param({.name = "w", .type = {DType::kF16, {4, 4}}, .data = half.data()});
      },
      ThrowsMessage<UserError>("[zoo.backend.tiny] parameters must be f32"));
}

TEST(BackendAdapter, a_success_that_gives_nothing_is_the_plugins_fault) {
  esp_backend_vtable table{};
  table.device_count = [] { return uint64_t{1}; };
  table.describe_device = [](uint64_t, esp_device_info*) { return esp_status{ESP_OK}; };
  table.open_device = [](uint64_t, const esp_param_value*, uint64_t, esp_device**) { return esp_status{ESP_OK}; };
  Component component;
  component.id = "zoo.backend.nothing";
  component.vtable = &table;
  EXPECT_THAT([&] { open_backend(component, ParamValues()); },
              ThrowsMessage<Error>("[zoo.backend.nothing] open_device succeeded and gave nothing"));
}

struct Wide {
  int64_t seed = 5;
  double rate = 0.5;
  static auto params() {
    return std::tuple{esp::param{&Wide::seed, "seed", int64_t{0}, std::numeric_limits<int64_t>::max(), "any number"},
                      esp::param{&Wide::rate, "rate", 0, 0.75, "a share"}};
  }
};

TEST(Sdk, bounds_of_whole_numbers_are_whole_numbers) {
  const auto& specs = esp::detail::specs_of<Wide>().specs;
  EXPECT_EQ(specs[0].min_int, 0);
  EXPECT_EQ(specs[0].max_int, std::numeric_limits<int64_t>::max()) << "no double holds this number";
  EXPECT_EQ(specs[1].min_float, 0);
  EXPECT_EQ(specs[1].max_float, 0.75);
}

TEST(Sdk, what_the_host_said_reaches_the_user) {
  esp::detail::host_slot() = host_table();
  WeightsTable owner(std::make_shared<io::MemoryTensorSource>("unet.safetensors"));
  clear_plugin_error();
  const esp_status status = esp::guard([&] {
    std::vector<float> out;
    esp::weights(owner.table()).read({"conv_in.weigth", {}}, out);
  });
  EXPECT_EQ(status, ESP_INVALID_ARGUMENT);
  EXPECT_THAT(plugin_error(), HasSubstr("unet.safetensors: has no tensor 'conv_in.weigth'"));
  esp::detail::host_slot() = nullptr;
}

TEST(Host, gives_counter_based_random_numbers_and_nothing_that_it_does_not_have) {
  const esp_host* host = host_table();
  const auto* rng =
      static_cast<const esp_rng*>(host->get_interface(host->ctx, to_esp(std::string_view(ESP_RNG_SERVICE)), sizeof(esp_rng)));
  ASSERT_NE(rng, nullptr);
  EXPECT_EQ(rng->bits(1, 2, 3), rng::bits(1, 2, 3));
  EXPECT_EQ(rng->normal(1, 2, 3), rng::normal(1, 2, 3));
  EXPECT_EQ(host->get_interface(host->ctx, to_esp(std::string_view(ESP_RNG_SERVICE)), sizeof(esp_rng) + 8), nullptr);
  EXPECT_EQ(host->get_interface(host->ctx, to_esp(std::string_view("esp.host.time-travel/1")), 0), nullptr);
}

TEST(Host, the_error_text_is_printable_and_bounded) {
  const esp_host* host = host_table();
  const std::string raw = "bad\x1b[31m" + std::string(100000, 'x');
  host->set_error(host->ctx, to_esp(std::string_view(raw)));
  EXPECT_LT(plugin_error().size(), 5000u);
  EXPECT_THAT(plugin_error(), ::testing::StartsWith("bad\\x1B[31m"));
  clear_plugin_error();
  EXPECT_EQ(plugin_error(), "");
}

TEST(Host, weights_are_listed_below_a_path_and_read_as_f32) {
  auto source = std::make_shared<io::MemoryTensorSource>();
  const std::vector<float> values{1, 2, 3, 4};
  source->add_f32("down_blocks.1.conv.weight", {2, 2}, values);
  source->add_f32("down_blocks.1.conv.bias", {2}, std::vector<float>{5, 6});
  source->add_f32("down_blocks.10.conv.bias", {2}, std::vector<float>{7, 8});
  WeightsTable owner(source);
  const esp_weights* weights = owner.table();
  const esp_str path = to_esp(std::string_view("down_blocks.1"));
  ASSERT_EQ(weights->count(weights->ctx, path), 2u) << "down_blocks.10 is another block";
  esp_str name{};
  esp_tensor_type type{};
  ASSERT_EQ(weights->describe(weights->ctx, path, 0, &name, &type), ESP_OK);
  EXPECT_EQ(view(name), "down_blocks.1.conv.weight");
  EXPECT_EQ(type.dtype, ESP_F32);
  EXPECT_EQ(type.rank, 2);
  std::vector<float> read(4);
  ASSERT_EQ(weights->read_f32(weights->ctx, name, read.data(), read.size()), ESP_OK);
  EXPECT_EQ(read, values);
  EXPECT_EQ(weights->read_f32(weights->ctx, name, read.data(), 3), ESP_INVALID_ARGUMENT);
  EXPECT_THAT(plugin_error(), HasSubstr("has 4 elements, room for 3"));
  EXPECT_EQ(weights->describe(weights->ctx, path, 2, &name, &type), ESP_INVALID_ARGUMENT);
}

}  // namespace
}  // namespace espalier::plugins
