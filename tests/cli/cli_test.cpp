// The binary as a user meets it: help, exit codes, what it says to a wrong command line, JSON for programs.

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "tests/support/run_command.h"

namespace espalier {
namespace {

using testing::CommandResult;
using testing::run_espalier;

const std::string kSdxl = ESPALIER_SOURCE_DIR "/tests/configs/sdxl-base-unet.json";
const std::string kTiny = ESPALIER_SOURCE_DIR "/tests/golden/tiny-sdxl/unet";

std::vector<std::string> command_names() {
  std::istringstream lines(run_espalier({}).out);
  std::vector<std::string> names;
  bool inside = false;
  for (std::string line; std::getline(lines, line);) {
    if (inside && line.empty()) break;
    if (inside) names.push_back(line.substr(2, line.find(' ', 2) - 2));
    inside = inside || line == "Commands:";
  }
  return names;
}

TEST(Cli, alone_it_prints_an_overview_of_every_command) {
  const CommandResult result = run_espalier({});
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_EQ(result.err, "");
  const std::vector<std::string> names = command_names();
  for (const char* name : {"inspect", "run", "sample", "prune", "export", "diff", "opt", "check", "plugin", "ops"})
    EXPECT_EQ(std::count(names.begin(), names.end(), name), 1) << name;
  EXPECT_EQ(run_espalier({"--help"}).out, result.out);
}

TEST(Cli, every_command_has_a_page_with_description_examples_and_exit_codes) {
  for (const std::string& name : command_names()) {
    const CommandResult result = run_espalier({name, "--help"});
    EXPECT_EQ(result.exit_code, 0) << name;
    EXPECT_EQ(result.err, "") << name;
    EXPECT_EQ(result.out.rfind("Usage: espalier " + name, 0), 0u) << result.out;
    for (const char* part : {"\nExamples:\n", "\nExit codes: ", "--plugin FILE"})
      EXPECT_NE(result.out.find(part), std::string::npos) << name << " lacks " << part;
    std::istringstream lines(result.out);
    for (std::string line; std::getline(lines, line);) EXPECT_LE(line.size(), 140u) << line;
  }
}

TEST(Cli, help_of_a_command_has_two_spellings) {
  EXPECT_EQ(run_espalier({"help", "inspect"}).out, run_espalier({"inspect", "--help"}).out);
  EXPECT_EQ(run_espalier({"inspect", "-h"}).out, run_espalier({"inspect", "--help"}).out);
}

TEST(Cli, version_names_program_and_plugin_abi) {
  EXPECT_EQ(run_espalier({"--version"}).out, "espalier 0.1.0 (plugin ABI 0.9)\n");
}

struct BadLine {
  std::vector<std::string> arguments;
  std::string message;  // the whole of stderr, without the last line end
};

class BadCommandLine : public ::testing::TestWithParam<BadLine> {};

TEST_P(BadCommandLine, is_refused_with_its_message_and_exit_code_2) {
  const CommandResult result = run_espalier(GetParam().arguments);
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_EQ(result.err, GetParam().message + "\n");
  EXPECT_EQ(result.out, "");
}

INSTANTIATE_TEST_SUITE_P(
    Cli, BadCommandLine,
    ::testing::Values(
        BadLine{{"inspet"}, "espalier: [espalier] unknown command 'inspet'; did you mean 'inspect'?"},
        BadLine{{"inspet", "x.json", "--json"}, "espalier: [espalier] unknown command 'inspet'; did you mean 'inspect'?"},
        BadLine{{"--verbos"}, "espalier: [espalier] unknown option '--verbos'; did you mean '--version'?"},
        BadLine{{"--xyzzy"}, "espalier: [espalier] unknown option '--xyzzy'; see 'espalier --help'"},
        BadLine{{"inspect"},
                "espalier: [inspect] MODEL is missing: a diffusers folder (UNet or pipeline), a single-file checkpoint with the "
                "original "
                "names, or a UNet config.json"},
        BadLine{{"inspect", kSdxl, "--jsn"}, "espalier: [inspect] unknown option '--jsn'; did you mean '--json'?"},
        BadLine{{"inspect", kSdxl, "--colour"}, "espalier: [inspect] unknown option '--colour'; see 'espalier inspect --help'"},
        BadLine{{"inspect", kSdxl, "--jsn", "--expnd"},
                "espalier: [inspect] unknown option '--jsn'; did you mean '--json'?\n"
                "espalier: [inspect] unknown option '--expnd'; did you mean '--expand'?"},
        BadLine{{"inspect", kSdxl, "other.json"}, "espalier: [inspect] unexpected argument 'other.json'; it takes MODEL"},
        BadLine{{"inspect", kSdxl, "--json", "--html", "x.html"}, "espalier: [inspect] --json cannot be used with --html"},
        BadLine{{"inspect", kSdxl, "--tokens", "many"}, "espalier: [inspect] --tokens wants an integer, not 'many'"},
        BadLine{{"inspect", kSdxl, "--tokens", "0"}, "espalier: [inspect] --tokens wants a count from 1 to 65536, not 0"},
        BadLine{{"inspect", kSdxl, "--tokens"}, "espalier: [inspect] --tokens needs a value: an integer"},
        BadLine{{"inspect", kSdxl, "--tokens", "7", "--tokens", "8"},
                "espalier: [inspect] --tokens was given 2 times; give it once"},
        BadLine{{"inspect", kSdxl, "--json=3"}, "espalier: [inspect] --json takes no value"},
        BadLine{{"inspect", kSdxl, "--size", "64"}, "espalier: [inspect] --size needs 2 values: H W"},
        BadLine{{"inspect", kSdxl, "--size", "0", "64"}, "espalier: [inspect] --size wants two extents from 1 to 4096, not 0"},
        BadLine{{"inspect", kSdxl, "--html"}, "espalier: [inspect] --html needs a value: FILE"},
        BadLine{{"inspect", "\x1b[31mred"}, "espalier: \\x1B[31mred: no such file or folder"},
        BadLine{{"run", "x"},
                "espalier: [run] --inputs is missing: safetensors file with the inputs\n"
                "espalier: [run] --outputs is missing: safetensors file to write, whole or not at all"},
        BadLine{{"run", "m", "--inputs", "a", "--outputs", "b", "--taps"}, "espalier: [run] --taps needs a value: GLOB"},
        BadLine{{"plugin", "lst"}, "espalier: [plugin] unknown command 'lst'; did you mean 'list'?"},
        BadLine{{"plugin", "show"}, "espalier: [plugin show] ID is missing: a component's id, such as espalier.prune.first-k"},
        BadLine{{"export", "s", "--as", "x", "--out", "y", "--dtyp", "f16"},
                "espalier: [export] unknown option '--dtyp'; did you mean '--dtype'?"},
        BadLine{{"diff", "a"}, "espalier: [diff] B is missing: what to compare it with"},
        BadLine{{"prune", "m", "--use", "a", "--plan", "b", "--out", "c"},
                "espalier: [prune] --plan and --use exclude each other; give one"},
        BadLine{{"ops", "conv2"}, "espalier: [ops] no op is called 'conv2'; did you mean 'conv2d'?"},
        BadLine{{"ops", "a", "b"}, "espalier: [ops] unexpected argument 'b'; it takes NAME"},
        BadLine{{"ops", "add", "--markdown"}, "espalier: [ops] --markdown is the page of every op; leave NAME out"}));

TEST(Cli, a_wrong_log_category_is_the_users_fault) {
  const CommandResult result = run_espalier({"ops"}, {"ESPALIER_LOG=plugn:loud"});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_EQ(result.err,
            "espalier: [ESPALIER_LOG] unknown level 'loud'; levels are error warning info debug\n"
            "espalier: [ESPALIER_LOG] unknown category 'plugn'; categories are all import pass plan dispatch exec plugin mem\n");
}

TEST(Cli, ops_lists_every_op_and_explains_one) {
  const CommandResult all = run_espalier({"ops"}), one = run_espalier({"ops", "conv2d"});
  EXPECT_EQ(all.exit_code, 0);
  for (const char* name : {"conv2d", "attention", "linear_geglu"}) EXPECT_NE(all.out.find(name), std::string::npos);
  EXPECT_EQ(one.exit_code, 0);
  EXPECT_NE(one.out.find("padding"), std::string::npos);
}

TEST(Cli, inspect_prints_json_alone_on_stdout) {
  const CommandResult result = run_espalier({"inspect", kTiny, "--json"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const nlohmann::json json = nlohmann::json::parse(result.out);
  EXPECT_GT(json.at("parameters").get<int64_t>(), 0);
  EXPECT_GT(json.at("flops").get<int64_t>(), 0);
  EXPECT_TRUE(json.at("loaders").contains("diffusers"));
}

TEST(Cli, inspect_of_sdxl_is_quick_and_small) {
  const CommandResult result = run_espalier({"inspect", kSdxl});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_NE(result.out.find("2,567,463,684"), std::string::npos);
#if !defined(__SANITIZE_ADDRESS__)  // whose shadow and red zones are not the program's
  EXPECT_LT(result.peak_rss_bytes, uint64_t{200} << 20);
#endif
}

TEST(Cli, a_full_disk_is_an_error_and_not_a_success) {
  if (!std::filesystem::exists("/dev/full")) GTEST_SKIP() << "no /dev/full here";
  const CommandResult result = testing::run_command({"/bin/sh", "-c", ESPALIER_BUILD_DIR "/bin/espalier ops > /dev/full"});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_EQ(result.err, "espalier: [stdout] cannot write the result: is the disk full or the reader gone\n");
}

TEST(Cli, opt_recomputes_above_a_number_of_mib_and_not_without) {
  const std::string graph = ESPALIER_SOURCE_DIR "/tests/ir/passes/recompute_off.eir";  // four MiB at its peak
  const auto opt = [&](std::vector<std::string> more) {
    more.insert(more.begin(), {"opt", graph, "--passes=recompute"});
    return run_espalier(more);
  };
  const std::string kept = opt({}).out;
  EXPECT_EQ(opt({"--recompute-above", "4"}).out, kept);
  const CommandResult again = opt({"--recompute-above", "3"});
  EXPECT_EQ(again.exit_code, 0) << again.err;
  EXPECT_EQ(kept.find("!recompute"), std::string::npos);
  EXPECT_NE(again.out.find("%a.again = exp %x"), std::string::npos) << again.out;
  EXPECT_EQ(opt({"--recompute-above", "-1"}).exit_code, 2);
}

TEST(Cli, check_grad_tells_right_from_not_finite) {
  const std::string folder = ESPALIER_SOURCE_DIR "/tests/ir/grad/";
  const CommandResult good = run_espalier({"check", "--grad", folder + "conv2d.eir"});
  EXPECT_EQ(good.exit_code, 0) << good.err;
  EXPECT_NE(good.out.find("2 of 2 gradients are within 1e-06 of finite differences\n"), std::string::npos) << good.out;
  const CommandResult stopped = run_espalier({"check", "--grad", folder + "stop_gradient.eir"});
  EXPECT_EQ(stopped.exit_code, 0) << stopped.out;
  EXPECT_NE(stopped.out.find("no gradient reaches it"), std::string::npos) << stopped.out;
  const std::string root = ::testing::TempDir() + "/espalier-root.eir";
  std::ofstream(root) << "graph @root(%x: f32[8]) -> f32[8] {\n  %y = sqrt %x : f32[8]\n  return %y\n}\n";
  const CommandResult negative = run_espalier({"check", "--grad", root});
  EXPECT_EQ(negative.exit_code, 1) << negative.out;
  EXPECT_NE(negative.out.find("not finite at these numbers: try another --seed, or --unit-inputs"), std::string::npos);
  EXPECT_EQ(run_espalier({"check", "--grad", root, "--unit-inputs"}).exit_code, 0);
  EXPECT_EQ(run_espalier({"check", folder + "conv2d.eir"}).err, "espalier: [check] say what to check: --grad\n");
}

TEST(Cli, ctrl_c_ends_a_run_with_exit_code_3_and_nothing_written) {
  const std::filesystem::path outputs = std::filesystem::path(::testing::TempDir()) / "espalier-interrupted.safetensors";
  const std::string espalier = ESPALIER_BUILD_DIR "/bin/espalier";
  const std::string inputs = ESPALIER_SOURCE_DIR "/tests/golden/tiny-sdxl/inputs.safetensors";
  const CommandResult result =
      testing::run_command({"/usr/bin/timeout", "--preserve-status", "--signal=INT", "1", espalier, "run", kTiny, "--inputs",
                            inputs, "--outputs", outputs.string(), "--backend", "reference", "--repeat", "1000000"});
  EXPECT_EQ(result.exit_code, 3) << result.err;
  EXPECT_NE(result.err.find("espalier: interrupted"), std::string::npos) << result.err;
  EXPECT_FALSE(std::filesystem::exists(outputs));
}

TEST(Cli, quiet_and_verbose_change_stderr_and_no_result) {
  const CommandResult plain = run_espalier({"inspect", kTiny}), quiet = run_espalier({"inspect", kTiny, "-q"}),
                      loud = run_espalier({"inspect", kTiny, "-v", "-v"});
  EXPECT_EQ(plain.out, quiet.out);
  EXPECT_EQ(plain.out, loud.out);
  EXPECT_EQ(quiet.err, "");
}

TEST(Cli, a_backend_that_is_not_there_is_refused_with_the_places_searched) {
  const CommandResult result =
      run_espalier({"inspect", kTiny, "--explain", "--backend", "cpuu"}, {"ESPALIER_PLUGIN_PATH=/nowhere"});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_NE(result.err.find("no backend 'cpuu'"), std::string::npos) << result.err;
  EXPECT_NE(result.err.find("/nowhere (ESPALIER_PLUGIN_PATH: no such folder)"), std::string::npos) << result.err;
}

TEST(Cli, explain_of_the_reference_needs_no_plugin) {
  const CommandResult result = run_espalier({"inspect", kTiny, "--explain", "--backend", "reference"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_NE(result.out.find("the built-in reference"), std::string::npos);
  EXPECT_NE(result.out.find("memory  arena "), std::string::npos);
}

TEST(Cli, html_appears_whole_or_not_at_all) {
  const std::filesystem::path folder = std::filesystem::path(::testing::TempDir()) / "espalier-html";
  std::filesystem::remove_all(folder);
  std::filesystem::create_directories(folder);
  EXPECT_EQ(run_espalier({"inspect", kTiny, "--html", (folder / "page.html").string()}).exit_code, 0);
  EXPECT_GT(std::filesystem::file_size(folder / "page.html"), 10000u);
  EXPECT_EQ(run_espalier({"inspect", kTiny + "/none", "--html", (folder / "other.html").string()}).exit_code, 2);
  EXPECT_FALSE(std::filesystem::exists(folder / "other.html"));
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace espalier
