// The zoo: each bad file gets a verdict that names what is wrong with it, and none of them harms the process.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include "core/base/error.h"
#include "plugins/elf.h"
#include "plugins/loader.h"
#include "plugins/registry.h"

namespace espalier::plugins {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

const fs::path kZoo = ESPALIER_ZOO;

/// A folder of this test's own, removed at its end.
class Folder {
 public:
  Folder() {
    std::string name = (fs::temp_directory_path() / "espalier-verdict-XXXXXX").string();
    path_ = ::mkdtemp(name.data());
  }
  ~Folder() { fs::remove_all(path_); }
  fs::path operator/(const std::string& name) const { return path_ / name; }
  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

std::string bytes_of(const fs::path& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

fs::path write(const fs::path& file, const std::string& bytes) {
  std::ofstream(file, std::ios::binary) << bytes;
  return file;
}

Verdict verdict_on(const fs::path& file) { return load({file, "--plugin", true}); }
Verdict animal(const std::string& name) { return verdict_on(kZoo / (name + ".esp.so")); }

struct Case {
  const char* animal;
  const char* reason;
};

class Zoo : public ::testing::TestWithParam<Case> {};

TEST_P(Zoo, gets_its_verdict) {
  const Verdict verdict = animal(GetParam().animal);
  EXPECT_FALSE(verdict.ok);
  EXPECT_THAT(verdict.reason, HasSubstr(GetParam().reason));
  EXPECT_TRUE(verdict.components.empty());
}

INSTANTIATE_TEST_SUITE_P(
    All, Zoo,
    ::testing::Values(Case{"wrong_magic", "wrong magic 0x12345678, want 0x45535031"},
                      Case{"wrong_abi", "built for plugin ABI 7.3, this host takes 0.9 and later minors; rebuild the plugin"},
                      Case{"wrong_size", "esp_plugin has 112 bytes, this host reads 120; rebuild the plugin"},
                      Case{"later_opset", "needs op set 99, this host has 1; update the host"},
                      Case{"missing_symbol", "it does not export esp_plugin_query_v0"},
                      Case{"undefined_symbol", "the system's loader refused it: undefined symbol: zoo_nobody_has_this"},
                      Case{"null_query", "it refuses this host (plugin ABI 0.9)"},
                      Case{"bad_id", "plugin id 'Zoo Bad Id' is not in reverse-domain form (com.example.name)"},
                      Case{"twice_in_one", "component zoo.twice: offered twice by this plugin"},
                      Case{"bad_kind", "component zoo.bad-kind: kind 'prune' is not of the form esp.name/1"},
                      Case{"no_components", "it offers no component"}, Case{"null_components", "1 components at null"},
                      Case{"component_size", "component 0: struct size is 8, this host reads 80"},
                      Case{"null_vtable", "component zoo.null-vtable: has no vtable"},
                      Case{"small_vtable", "component zoo.small-vtable: vtable has 16 bytes, this host reads 48"},
                      Case{"lacks_next", "component zoo.lacks-next: lacks destroy, next"},
                      Case{"bad_params", "component zoo.bad-params: parameter 'count' has unknown flags 0x40"},
                      Case{"bad_default", "component zoo.bad-default: parameter 'count' default 65 is outside 0…64"},
                      Case{"throws_in_query", "an exception left esp_plugin_query_v0, which the plugin ABI forbids: too early"}),
    [](const auto& info) { return std::string(info.param.animal); });

TEST(Verdict, a_good_plugin_in_c_is_read_completely) {
  const Verdict verdict = animal("good");
  ASSERT_TRUE(verdict.ok) << verdict.reason;
  EXPECT_EQ(verdict.id, "zoo.good");
  EXPECT_EQ(verdict.version, "1.0.0");
  EXPECT_EQ(verdict.file_bytes, fs::file_size(kZoo / "good.esp.so"));
  ASSERT_EQ(verdict.components.size(), 1u);
  const Component& component = verdict.components[0];
  EXPECT_EQ(component.kind, "esp.prune/1");
  EXPECT_EQ(component.doc, "an animal of the zoo");
  ASSERT_EQ(component.params.size(), 1u);
  EXPECT_EQ(component.params[0].name, "count");
  EXPECT_EQ(range_text(component.params[0]), "0 to 64");
  EXPECT_EQ(default_text(component.params[0]), "1");
}

TEST(Verdict, an_unknown_kind_is_listed_and_ignored) {
  const Registry registry({.files = {kZoo / "unknown_kind.esp.so"}});
  ASSERT_EQ(registry.verdicts().size(), 1u);
  const Verdict& verdict = registry.verdicts()[0];
  ASSERT_TRUE(verdict.ok) << verdict.reason;
  ASSERT_EQ(verdict.components.size(), 2u);
  EXPECT_TRUE(verdict.components[0].known_kind);
  EXPECT_FALSE(verdict.components[1].known_kind);
  EXPECT_EQ(registry.of_kind("esp.prune/1").size(), 1u);
}

TEST(Verdict, sanitizer_flags_must_be_the_hosts) {
  const Verdict asan = animal("asan_flag"), tsan = animal("tsan_flag");
  EXPECT_EQ(asan.ok, host_has_asan());
  EXPECT_EQ(tsan.ok, host_has_tsan());
  if (!host_has_asan()) {
    EXPECT_THAT(asan.reason, HasSubstr("built with AddressSanitizer, this espalier is not"));
  }
  if (!host_has_tsan()) {
    EXPECT_THAT(tsan.reason, HasSubstr("built with ThreadSanitizer, this espalier is not"));
  }
}

TEST(Verdict, files_that_are_no_library_are_refused_before_any_of_their_code_runs) {
  const Folder folder;
  const std::string good = bytes_of(kZoo / "good.esp.so");
  ASSERT_GT(good.size(), 5000u);
  EXPECT_EQ(verdict_on(folder / "absent.esp.so").reason, "cannot be opened: No such file or directory");
  EXPECT_EQ(verdict_on(write(folder / "text.esp.so", "I am a plugin, really.\n")).reason, "not a shared library (no ELF header)");
  EXPECT_EQ(verdict_on(write(folder / "empty.esp.so", "")).reason, "not a shared library (no ELF header)");
  EXPECT_EQ(verdict_on(write(folder / "plain.so", good)).reason, "its name does not end in .esp.so");
  EXPECT_EQ(verdict_on(write(folder / ".esp.so", good)).reason, "its name does not end in .esp.so");
  fs::create_directory(folder / "folder.esp.so");
  EXPECT_EQ(verdict_on(folder / "folder.esp.so").reason, "a folder, not a file");
  ASSERT_EQ(::mkfifo((folder / "pipe.esp.so").c_str(), 0600), 0);
  EXPECT_EQ(verdict_on(folder / "pipe.esp.so").reason, "not a regular file");
  for (const size_t bytes : {size_t{5}, size_t{63}, size_t{64}, size_t{200}, size_t{4096}, good.size() / 2, good.size() - 1})
    EXPECT_THAT(verdict_on(write(folder / "cut.esp.so", good.substr(0, bytes))).reason,
                HasSubstr("truncated: the file has " + std::to_string(bytes)));
  const auto patched = [&](size_t at, char byte) {
    std::string bytes = good;
    bytes[at] = byte;
    return verdict_on(write(folder / "patched.esp.so", bytes)).reason;
  };
  EXPECT_EQ(patched(4, 1), "a 32-bit library, this is a 64-bit process");
  EXPECT_EQ(patched(5, 2), "a big-endian library");
  EXPECT_THAT(patched(18, 0x28), HasSubstr("built for another machine (ELF machine 40, this one is "));
  EXPECT_EQ(patched(16, 2), "an ELF file, but not a shared library");
  fs::permissions(write(folder / "open.esp.so", good), fs::perms::all);
  EXPECT_EQ(verdict_on(folder / "open.esp.so").reason, "anyone may write to it (chmod o-w)");
}

TEST(Registry, a_component_in_two_files_is_nobodys_and_names_both) {
  const Folder folder;
  const fs::path a = folder / "a.esp.so", b = folder / "b.esp.so";
  fs::copy(kZoo / "duplicate_a.esp.so", a);
  fs::copy(kZoo / "duplicate_b.esp.so", b);
  const Registry registry({.path_variable = folder.path().string()});
  ASSERT_EQ(registry.verdicts().size(), 2u);
  EXPECT_EQ(registry.verdicts()[0].reason,
            "duplicate: zoo.duplicate is also in " + b.string() + "; remove one, or name one with --plugin");
  EXPECT_EQ(registry.verdicts()[1].reason,
            "duplicate: zoo.duplicate is also in " + a.string() + "; remove one, or name one with --plugin");
  try {
    registry.find(kPruneKind, "zoo.duplicate");
    FAIL() << "one of two was taken";
  } catch (const UserError& error) {
    EXPECT_THAT(error.what(), HasSubstr("refused " + a.string() + ": duplicate"));
    EXPECT_THAT(error.what(), HasSubstr("refused " + b.string() + ": duplicate"));
  }
}

TEST(Registry, a_file_named_by_plugin_wins_over_one_that_was_found) {
  const Folder folder;
  fs::copy(kZoo / "duplicate_a.esp.so", folder / "a.esp.so");
  const Registry registry({.files = {kZoo / "duplicate_b.esp.so"}, .path_variable = folder.path().string()});
  EXPECT_EQ(registry.find(kPruneKind, "zoo.duplicate").file, kZoo / "duplicate_b.esp.so");
  EXPECT_THAT(registry.verdicts()[1].reason, HasSubstr("which --plugin names"));
}

TEST(Registry, a_plugin_whose_init_fails_is_refused_with_its_text) {
  const Registry registry({.files = {kZoo / "init_fails.esp.so"}});
  EXPECT_EQ(registry.verdicts()[0].reason, "init failed: [zoo.init-fails] no licence for this machine");
  EXPECT_TRUE(registry.of_kind(kPruneKind).empty());
}

TEST(Registry, what_is_not_there_is_told_with_the_nearest_the_places_and_the_refused) {
  const Folder folder;
  write(folder / "cpu.esp.so", "not really");
  const Registry registry(
      {.files = {kZoo / "good.esp.so"}, .path_variable = folder.path().string(), .user_folder = folder / "none"});
  try {
    registry.find(kPruneKind, "zoo.goood");
    FAIL();
  } catch (const UserError& error) {
    EXPECT_EQ(error.what(), "no pruner 'zoo.goood'; did you mean 'zoo.good'?\nsearched: " + folder.path().string() +
                                " (ESPALIER_PLUGIN_PATH), " + (folder / "none").string() +
                                " (user folder: no such folder)\nrefused " + (folder / "cpu.esp.so").string() +
                                ": not a shared library (no ELF header)");
    EXPECT_EQ(error.exit_code(), 2);
  }
  EXPECT_THROW(registry.find_backend("cpu"), UserError);
  EXPECT_THAT([&] { registry.find(kBackendKind, "zoo.good"); },
              ::testing::ThrowsMessage<UserError>(HasSubstr("'zoo.good' is of kind esp.prune/1, wanted is esp.backend/1")));
}

}  // namespace
}  // namespace espalier::plugins
