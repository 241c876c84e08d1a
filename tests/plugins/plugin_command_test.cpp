// `espalier run` and `espalier plugin` as a user types them: what they print, and how they end.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "tests/support/run_command.h"

namespace espalier {
namespace {

namespace fs = std::filesystem;
using testing::CommandResult;
using ::testing::HasSubstr;

const fs::path kCase = fs::path(ESPALIER_SOURCE_DIR) / "tests/golden/tiny-sdxl";

class PluginCommand : public ::testing::Test {
 public:
  PluginCommand() {
    std::string name = (fs::temp_directory_path() / "espalier-command-XXXXXX").string();
    root_ = ::mkdtemp(name.data());
    binary_ = fs::path(ESPALIER_BUILD_DIR) / "bin/espalier";
  }
  ~PluginCommand() override { fs::remove_all(root_); }

 protected:
  CommandResult command(std::vector<std::string> arguments, const std::string& plugin_path = "") {
    arguments.insert(arguments.begin(), binary_.string());
    return testing::run_command(arguments, {"XDG_DATA_HOME=" + (root_ / "data").string(), "ESPALIER_PLUGIN_PATH=" + plugin_path});
  }
  CommandResult run_case(std::vector<std::string> more) {
    std::vector<std::string> arguments{
        "run", (kCase / "unet").string(), "--inputs", (kCase / "inputs.safetensors").string(), "--outputs", output().string()};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return command(arguments);
  }
  /// The program alone, as if its plugins had not been installed.
  void leave_plugins_behind() {
    fs::create_directory(root_ / "bin");
    fs::copy(binary_, root_ / "bin/espalier");
    binary_ = root_ / "bin/espalier";
  }
  fs::path output() const { return root_ / "out.safetensors"; }

  fs::path root_, binary_;
};

TEST_F(PluginCommand, run_without_its_backend_exits_2_with_the_places_searched_and_writes_nothing) {
  leave_plugins_behind();
  const CommandResult result = run_case({});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_EQ(result.out, "");
  EXPECT_EQ(result.err, "espalier: no backend 'cpu'; known: reference\nespalier: searched: " +
                            (root_ / "data/espalier/plugins").string() + " (user folder: no such folder), " +
                            (root_ / "lib/espalier/plugins").string() + " (install folder: no such folder)\n");
  EXPECT_FALSE(fs::exists(output()));
  EXPECT_EQ(run_case({"--backend", "reference"}).exit_code, 0) << "the reference needs no plugin";
  EXPECT_TRUE(fs::exists(output()));
}

TEST_F(PluginCommand, a_refused_file_that_plugin_names_is_an_error_though_another_could_do) {
  const std::string bad = (root_ / "bad.esp.so").string();
  std::ofstream(bad) << "no library";
  const CommandResult run = run_case({"--plugin", bad});
  EXPECT_EQ(run.exit_code, 2);
  EXPECT_EQ(run.err, "espalier: --plugin " + bad + ": not a shared library (no ELF header)\n");
  EXPECT_FALSE(fs::exists(output()));
  const CommandResult prune = command({"prune", (kCase / "unet").string(), "--use", "espalier.prune.first-k", "--set", "keep=1",
                                       "--dry-run", "--plugin", bad, "--plugin", "/nowhere.esp.so"});
  EXPECT_EQ(prune.exit_code, 2);
  EXPECT_EQ(prune.err,
            "espalier: --plugin " + bad +
                ": not a shared library (no ELF header)\nespalier: --plugin /nowhere.esp.so: cannot be opened: No such "
                "file or directory\n");
}

TEST_F(PluginCommand, run_takes_a_backend_in_c_and_leaves_the_rest_to_the_reference_unless_strict) {
  const std::string tiny = std::string(ESPALIER_ZOO) + "/tiny_backend.esp.so";
  const CommandResult strict = run_case({"--plugin", tiny, "--backend", "tiny", "--strict"});
  EXPECT_EQ(strict.exit_code, 2);
  EXPECT_THAT(strict.err, HasSubstr("backend 'tiny' has no kernel for"));
  EXPECT_THAT(strict.err, HasSubstr("conv2d f32[2,16,16,4]"));
  EXPECT_THAT(strict.err, HasSubstr("tiny_c: unknown op"));
  EXPECT_FALSE(fs::exists(output()));
}

TEST_F(PluginCommand, run_profiles_and_traces_every_call) {
  const fs::path trace = root_ / "trace.json";
  const CommandResult result = run_case({"--profile", "--trace", trace.string(), "--threads", "1", "--repeat", "2", "--strict"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  for (const char* part : {"kernel", "block", "total", "GFLOP/s", "peak memory", "runs "})
    EXPECT_THAT(result.out, HasSubstr(part));
  std::ifstream in(trace);
  EXPECT_GT(nlohmann::json::parse(in).at("traceEvents").size(), 100u);
}

TEST_F(PluginCommand, run_lists_every_wrong_input_at_once) {
  const CommandResult result = command({"run", (kCase / "unet").string(), "--inputs", (kCase / "outputs.safetensors").string(),
                                        "--outputs", output().string(), "--backend", "reference"});
  EXPECT_EQ(result.exit_code, 2);
  const std::string where = "espalier: [" + (kCase / "outputs.safetensors").string() + "] no tensor ";
  EXPECT_EQ(result.err, where + "'timestep', want [N] with N = 2\n" + where +
                            "'encoder_hidden_states', want [N,L,24] with N = 2\n" + where +
                            "'text_embeds', want [N,16] with N = 2\n" + where + "'time_ids', want [N,6] with N = 2\n");
  EXPECT_FALSE(fs::exists(output()));
}

TEST_F(PluginCommand, list_shows_components_and_every_refused_file) {
  leave_plugins_behind();
  fs::create_directory(root_ / "mine");
  fs::copy(fs::path(ESPALIER_ZOO) / "good.esp.so", root_ / "mine/good.esp.so");
  fs::copy(fs::path(ESPALIER_ZOO) / "wrong_abi.esp.so", root_ / "mine/wrong_abi.esp.so");
  std::ofstream(root_ / "mine/text.esp.so") << "hello";
  const CommandResult result = command({"plugin", "list"}, (root_ / "mine").string());
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_THAT(result.out, HasSubstr("zoo.good   esp.prune/1  an animal of the zoo\n"));
  EXPECT_THAT(result.out,
              HasSubstr("refused " + (root_ / "mine/text.esp.so").string() + ": not a shared library (no ELF header)\n"));
  EXPECT_THAT(result.out, HasSubstr("refused " + (root_ / "mine/wrong_abi.esp.so").string() + ": built for plugin ABI 7.3"));

  const auto json = nlohmann::json::parse(command({"plugin", "list", "--json"}, (root_ / "mine").string()).out);
  ASSERT_EQ(json.at("files").size(), 3u);
  EXPECT_EQ(json.at("files")[0].at("status"), "ok");
  EXPECT_EQ(json.at("files")[0].at("components")[0].at("parameters")[0].at("name"), "count");
  EXPECT_EQ(json.at("files")[1].at("status"), "refused");
  EXPECT_EQ(json.at("files")[1].at("sha256"), "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824");
}

TEST_F(PluginCommand, show_prints_the_parameter_table) {
  const std::string good = std::string(ESPALIER_ZOO) + "/good.esp.so";
  const CommandResult result = command({"plugin", "show", "zoo.good", "--plugin", good});
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_EQ(result.out, "zoo.good  (esp.prune/1)\nan animal of the zoo\n\nplugin  zoo.good 1.0.0\nfile    " + good +
                            "\n\nparameter  kind     default  range    what it does\n"
                            "count      integer  1        0 to 64  how many units go\n");
  const CommandResult wrong = command({"plugin", "show", "zoo.goood", "--plugin", good});
  EXPECT_EQ(wrong.exit_code, 2);
  EXPECT_THAT(wrong.err, HasSubstr("no component 'zoo.goood'; did you mean 'zoo.good'?"));
}

TEST_F(PluginCommand, why_names_every_folder_file_and_verdict) {
  leave_plugins_behind();
  fs::create_directory(root_ / "mine");
  std::ofstream(root_ / "mine/cpu.esp.so") << "hello";
  const CommandResult result = command({"plugin", "why", "espalier.backend.cpu"}, (root_ / "mine").string());
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_EQ(result.out, (root_ / "mine").string() + "  (ESPALIER_PLUGIN_PATH)\n" + (root_ / "data/espalier/plugins").string() +
                            "  (user folder): no such folder\n" + (root_ / "lib/espalier/plugins").string() +
                            "  (install folder): no such folder\n* " + (root_ / "mine/cpu.esp.so").string() +
                            "  (ESPALIER_PLUGIN_PATH)\n    refused: not a shared library (no ELF header)\n"
                            "no file offers a usable espalier.backend.cpu\n");
}

TEST_F(PluginCommand, new_names_every_fault_at_once_and_writes_nothing) {
  const CommandResult result = command({"plugin", "new", "los", "--lang", "rust", "--id", "Mine"});
  EXPECT_EQ(result.exit_code, 2);
  for (const char* fault :
       {"'los' is none of prune, loss, metric, backend; did you mean 'loss'?", "[--lang] 'rust' is none of cpp, c",
        "[--id] 'Mine' is not in reverse-domain form (com.example.name)", "--out is missing"})
    EXPECT_THAT(result.err, HasSubstr(fault));
  fs::create_directories(root_ / "there/inside");
  const CommandResult there = command({"plugin", "new", "loss", "-o", (root_ / "there").string()});
  EXPECT_EQ(there.exit_code, 2);
  EXPECT_THAT(there.err, HasSubstr("exists; choose another or remove it"));
}

TEST_F(PluginCommand, schema_has_every_parameter_with_type_range_default_and_doc) {
  const CommandResult result = command({"plugin", "schema"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const auto schema = nlohmann::json::parse(result.out);
  const auto& pruners = schema.at("properties").at("stage").at("items").at("properties").at("prune").at("oneOf");
  bool found = false;
  for (const auto& pruner : pruners)
    if (pruner.value("title", "") == "espalier.prune.taylor") {
      found = true;
      const auto& keep = pruner.at("properties").at("keep");
      EXPECT_EQ(keep.at("type"), "number");
      EXPECT_EQ(keep.at("minimum"), 0.01);
      EXPECT_EQ(keep.at("default"), 0.6);
      EXPECT_NE(keep.at("description"), "");
      EXPECT_EQ(pruner.at("additionalProperties"), false);
    }
  EXPECT_TRUE(found);
}

TEST_F(PluginCommand, a_lock_takes_what_it_names_and_refuses_the_rest) {
  const fs::path folder = root_ / "plugins", lock = root_ / "plugins.lock";
  fs::create_directories(folder);
  fs::copy(fs::path(ESPALIER_ZOO) / "good.esp.so", folder / "good.esp.so");
  ASSERT_EQ(command({"plugin", "lock", "-o", lock.string()}, folder.string()).exit_code, 0);
  EXPECT_THAT(command({"plugin", "list", "--plugin-lock", lock.string()}, folder.string()).out, HasSubstr("zoo.good "));
  fs::copy(fs::path(ESPALIER_ZOO) / "duplicate_a.esp.so", folder / "new.esp.so");
  EXPECT_THAT(command({"plugin", "list", "--plugin-lock", lock.string()}, folder.string()).out,
              HasSubstr("new.esp.so: its content (sha256 "));
  std::ofstream(lock) << "{}";
  const CommandResult broken = command({"plugin", "list", "--plugin-lock", lock.string()});
  EXPECT_EQ(broken.exit_code, 2);
  EXPECT_THAT(broken.err, HasSubstr("no lock of plugins"));
}

}  // namespace
}  // namespace espalier
