// The zoo of bad plugins before `plugin check`: each gets the verdict that it deserves, the program lives on, no process is left.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/prctl.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "tests/support/run_command.h"

namespace espalier {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using testing::CommandResult;
using ::testing::HasSubstr;
using testing::kEspalier;

const fs::path kZoo = ESPALIER_ZOO;

CommandResult espalier(std::vector<std::string> words) {
  words.insert(words.begin(), kEspalier);
  return testing::run_command(words, {"ESPALIER_PLUGIN_PATH=", "XDG_DATA_HOME=/nonexistent"});
}

json check(const fs::path& file, const std::vector<std::string>& more = {}) {
  std::vector<std::string> words{"plugin", "check", file.string(), "--json"};
  words.insert(words.end(), more.begin(), more.end());
  const CommandResult result = espalier(words);
  EXPECT_EQ(result.signal, 0) << file;
  const json made = json::parse(result.out, nullptr, false);
  EXPECT_FALSE(made.is_discarded()) << result.err;
  EXPECT_EQ(result.exit_code, made.at("passed") == true ? 0 : 1);
  return made;
}

/// "fail: text" of a test; "" where it was not run.
std::string outcome(const json& result, const std::string& id) {
  for (const json& test : result.at("tests"))
    if (test.at("id") == id) return test.at("outcome").get<std::string>() + ": " + test.at("text").get<std::string>();
  return "";
}

/// Processes that are ours now because whoever started them is gone.
std::string orphans() {
  std::ifstream children("/proc/self/task/" + std::to_string(::getpid()) + "/children");
  return {std::istreambuf_iterator<char>(children), {}};
}

struct Case {
  const char *animal, *test, *outcome;
};
class BadPlugin : public ::testing::TestWithParam<Case> {};

TEST_P(BadPlugin, gets_its_verdict_and_harms_nobody) {
  ::prctl(PR_SET_CHILD_SUBREAPER, 1);
  const fs::path file = kZoo / (std::string(GetParam().animal) + ".esp.so");
  const bool hangs = std::string_view(GetParam().outcome).starts_with("timeout");
  const json result = check(file, {"--timeout", hangs ? "2" : "60", "--only", GetParam().test});
  EXPECT_FALSE(result.at("passed"));
  EXPECT_THAT(outcome(result, GetParam().test), HasSubstr(GetParam().outcome)) << result.dump(1);
  EXPECT_EQ(orphans(), "") << "a process is left";
}

INSTANTIATE_TEST_SUITE_P(
    All, BadPlugin,
    ::testing::Values(
        // Refused before it can do anything.
        Case{"wrong_magic", "ESP-L01", "fail: wrong magic"}, Case{"wrong_size", "ESP-L01", "fail: esp_plugin has"},
        Case{"wrong_abi", "ESP-L01", "fail: built for plugin ABI 7.3"}, Case{"later_opset", "ESP-L01", "fail: needs op set 99"},
        Case{"missing_symbol", "ESP-L01", "fail: it does not export"},
        Case{"undefined_symbol", "ESP-L01", "fail: the system's loader refused it"},
        Case{"small_vtable", "ESP-L01", "fail: component zoo.small-vtable: vtable has 16 bytes"},
        Case{"lacks_next", "ESP-L01", "fail: component zoo.lacks-next: lacks destroy, next"},
        Case{"twice_in_one", "ESP-L01", "fail: component zoo.twice: offered twice"},
        Case{"bad_params", "ESP-L01", "fail: component zoo.bad-params: parameter 'count'"},
        Case{"throws_in_query", "ESP-L01", "fail: [throws_in_query.esp.so] an exception left"},
        Case{"init_fails", "ESP-L01", "fail: [zoo.init-fails] no licence"},
        Case{"other_manifest", "ESP-L01", "fail: its manifest says id 'zoo.somebody-else'"},
        Case{"later_manifest", "ESP-L01", "fail: built for plugin ABI 7.0"},
        Case{"exports_more", "ESP-L02", "fail: it exports 2 symbols"},
        // Dies, ends its process, hangs, eats memory.
        Case{"aborts_in_constructor", "ESP-L01", "crash: signal 6"},
        Case{"exits_in_constructor", "ESP-L01", "crash: it ended its process (exit code 0)"},
        Case{"hangs_in_constructor", "ESP-L01", "timeout: did not come to an end in 2 s"},
        Case{"segfault_in_next", "ESP-P01", "crash: signal 11"}, Case{"segfault_in_emit", "ESP-P01", "crash: signal 11"},
        Case{"exits_in_next", "ESP-P01", "crash: it ended its process (exit code 0)"},
        Case{"endless_loop", "ESP-P01", "timeout: did not come to an end in 2 s"}, Case{"memory_bomb", "ESP-P01", "memory: "},
        Case{"leaves_a_process", "ESP-P01", "crash: signal 11"},
        Case{"throws", "ESP-P01", "fail: [zoo.throws] an exception left next"},
        // Says what is not so.
        Case{"unknown_path", "ESP-P01", "fail: remove: there is no unit 'down_blocks.7.resnets.9'"},
        Case{"removes_twice", "ESP-P01", "fail: remove: 'down_blocks.0.resnets.0' is removed twice"},
        Case{"out_of_range", "ESP-P01", "fail: remove: 'down_blocks.0' is not a unit of kind 99"},
        Case{"removes_inside", "ESP-R01", "fail: its rows are no plan"},
        Case{"never_done", "ESP-R06", "fail: [zoo.never-done] asked for more than"},
        Case{"says_nothing", "ESP-P01", "fail: next: invalid argument, with no text of why"},
        Case{"not_the_same", "ESP-R02", "fail: the same model, seed and metrics give other rows"},
        Case{"bad_state", "ESP-R04", "crash: signal 11"},
        Case{"nan_loss", "ESP-O01", "is -nan where the student equals the teacher"},
        Case{"ill_typed", "ESP-P01", "fail: term '' is f32[2,5,4,3], needs to be an f32 scalar"},
        Case{"ignores_status", "ESP-O05", "fail: the host refused call 0 of the builder, and emit says another thing"},
        Case{"other_ops", "ESP-O03", "fail: the second call emits other ops"},
        Case{"not_what_it_declares", "ESP-O04", "fail: it is declared zero where student and teacher are equal, and is 1"},
        Case{"idle_param", "ESP-P01", "fail: no term reads the parameter"},
        // Bad manners.
        Case{"prints", "ESP-C05", "fail: it writes to stdout"},
        Case{"wrong_thread", "ESP-C04", "fail: it calls the host from a thread of its own"},
        Case{"leaks_instances", "ESP-C01", "fail: 2"}, Case{"leaks_in_next", "ESP-C02", "fail: 1"}),
    [](const auto& info) { return std::string(info.param.animal); });

TEST(PluginCheck, a_file_that_is_cut_or_is_no_library_gets_its_verdict) {
  const fs::path folder = fs::temp_directory_path() / ("espalier-cut-" + std::to_string(::getpid()));
  fs::create_directories(folder);
  fs::copy_file(kZoo / "good.esp.so", folder / "cut.esp.so", fs::copy_options::overwrite_existing);
  fs::resize_file(folder / "cut.esp.so", 5000);
  std::ofstream(folder / "text.esp.so") << "I am a plugin, really.\n";
  EXPECT_THAT(outcome(check(folder / "cut.esp.so"), "ESP-L01"), HasSubstr("fail: truncated"));
  EXPECT_THAT(outcome(check(folder / "text.esp.so"), "ESP-L01"), HasSubstr("fail: not a shared library"));
  fs::remove_all(folder);
}

TEST(PluginCheck, every_plugin_that_ships_passes) {
  size_t plugins = 0;
  for (const fs::directory_entry& entry : fs::directory_iterator(fs::path(ESPALIER_BUILD_DIR) / "plugins")) {
    if (!entry.path().string().ends_with(".esp.so") || entry.path().filename() == "cuda.esp.so")
      continue;  // CudaPlugin: it needs the driver to say anything
    const json result = check(entry.path());
    EXPECT_TRUE(result.at("passed")) << entry.path() << result.dump(1);
    ++plugins;
  }
  EXPECT_GE(plugins, 20u);
}

TEST(AbiFrozen, plugins_in_c_of_the_frozen_headers_pass_in_this_host) {
  for (const char* plugin : {"frozen_good_pruner.esp.so", "frozen_loss.esp.so"}) {
    const json result = check(kZoo / plugin);
    EXPECT_TRUE(result.at("passed")) << result.dump(1);
  }
}

TEST(PluginCheck, what_is_spent_outside_of_tests_is_under_100_ms) {
  for (const char* plugin : {"plugins/loss-task.esp.so", "plugins/prune-taylor.esp.so", "tests/zoo/good_pruner.esp.so"}) {
    const json result = check(fs::path(ESPALIER_BUILD_DIR) / plugin);
    EXPECT_TRUE(result.at("passed")) << result.dump(1);
    double inside = 0;
    for (const json& test : result.at("tests")) inside += test.at("ms").get<double>();
    EXPECT_LT(result.at("ms").get<double>() - inside, 100) << plugin;
    RecordProperty(plugin, std::to_string(result.at("ms").get<double>()));
  }
}

TEST(PluginCheck, one_test_is_run_alone_and_a_wrong_pattern_is_said) {
  const json result = check(kZoo / "good_pruner.esp.so", {"--only", "ESP-R02"});
  ASSERT_EQ(result.at("tests").size(), 2u);
  EXPECT_EQ(outcome(result, "ESP-R02"), "pass: ");
  const CommandResult wrong = espalier({"plugin", "check", (kZoo / "good.esp.so").string(), "--only", "("});
  EXPECT_EQ(wrong.exit_code, 2);
  EXPECT_THAT(wrong.err, HasSubstr("[--only] '(' is no regular expression"));
}

TEST(Scan, a_plugin_that_dies_when_it_is_loaded_is_reported_and_the_others_work) {
  for (const auto& [animal, reason] : {std::pair{"aborts_in_constructor", "crashed when it was loaded: signal 6"},
                                       {"exits_in_constructor", "ended its process when it was loaded (exit code 0)"}}) {
    const CommandResult result = espalier({"plugin", "list", "--plugin", (kZoo / (std::string(animal) + ".esp.so")).string(),
                                           "--plugin", (kZoo / "good.esp.so").string()});
    EXPECT_EQ(result.exit_code, 0) << result.err;
    EXPECT_THAT(result.out, HasSubstr("zoo.good "));
    EXPECT_THAT(result.out, HasSubstr("espalier.prune.first-k "));
    EXPECT_THAT(result.out,
                HasSubstr(std::string("refused ") + (kZoo / (std::string(animal) + ".esp.so")).string() + ": " + reason));
  }
}

}  // namespace
}  // namespace espalier
