// Where plugins are looked for: order, what is skipped, what is refused.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "plugins/search.h"

namespace espalier::plugins {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;

class Search : public ::testing::Test {
 public:
  Search() {
    std::string name = (fs::temp_directory_path() / "espalier-search-XXXXXX").string();
    root_ = ::mkdtemp(name.data());
  }
  ~Search() override { fs::remove_all(root_); }

 protected:
  fs::path touch(const std::string& name) {
    fs::create_directories((root_ / name).parent_path());
    std::ofstream(root_ / name) << name;
    return root_ / name;
  }
  std::vector<std::string> found(const SearchRequest& request) {
    std::vector<std::string> names;
    for (const Candidate& candidate : search(request).candidates) names.push_back(fs::relative(candidate.file, root_).string());
    return names;
  }
  fs::path root_;
};

TEST_F(Search, goes_through_the_places_in_order_each_sorted) {
  touch("one/b.esp.so");
  touch("one/a.esp.so");
  touch("two/c.esp.so");
  touch("user/d.esp.so");
  touch("prefix/lib/espalier/plugins/e.esp.so");
  touch("prefix/plugins/never.esp.so");
  touch("named/z.esp.so");
  const SearchRequest request{.files = {root_ / "named/z.esp.so"},
                              .path_variable = (root_ / "two").string() + ":" + (root_ / "one").string(),
                              .user_folder = root_ / "user",
                              .executable = root_ / "prefix/bin/espalier"};
  EXPECT_THAT(found(request), ElementsAre("named/z.esp.so", "two/c.esp.so", "one/a.esp.so", "one/b.esp.so", "user/d.esp.so",
                                          "prefix/lib/espalier/plugins/e.esp.so"));
  EXPECT_TRUE(search(request).candidates[0].named);
  EXPECT_FALSE(search(request).candidates[1].named);
}

TEST_F(Search, a_build_tree_uses_what_it_built) {
  touch("build/CMakeCache.txt");
  touch("build/plugins/x.esp.so");
  touch("build/lib/espalier/plugins/never.esp.so");
  const SearchRequest request{.executable = root_ / "build/bin/espalier"};
  EXPECT_THAT(found(request), ElementsAre("build/plugins/x.esp.so"));
  EXPECT_EQ(search(request).places[0].origin, "build folder");
}

TEST_F(Search, other_suffixes_are_no_candidates) {
  touch("one/libhelper.so");
  touch("one/notes.txt");
  touch("one/.esp.so");
  touch("one/x.esp.so.bak");
  EXPECT_TRUE(found({.path_variable = (root_ / "one").string()}).empty());
}

TEST_F(Search, says_why_a_place_gave_nothing) {
  touch("open/x.esp.so");
  touch("file");
  fs::permissions(root_ / "open", fs::perms::all);
  const SearchRequest request{.path_variable = (root_ / "open").string() + "::" + (root_ / "file").string(),
                              .user_folder = root_ / "absent"};
  const SearchResult result = search(request);
  EXPECT_TRUE(result.candidates.empty());
  ASSERT_EQ(result.places.size(), 3u);
  EXPECT_EQ(result.places[0].problem, "refused: anyone may write to it (chmod o-w)");
  EXPECT_EQ(result.places[1].problem, "not a folder");
  EXPECT_EQ(result.places[2].problem, "no such folder");
  EXPECT_EQ(places_text(result.places), "searched: " + (root_ / "open").string() +
                                            " (ESPALIER_PLUGIN_PATH: refused: anyone may write to it (chmod o-w)), " +
                                            (root_ / "file").string() + " (ESPALIER_PLUGIN_PATH: not a folder), " +
                                            (root_ / "absent").string() + " (user folder: no such folder)");
}

TEST_F(Search, one_file_under_two_names_is_one_candidate) {
  touch("one/x.esp.so");
  fs::create_directory(root_ / "two");
  fs::create_symlink(root_ / "one/x.esp.so", root_ / "two/y.esp.so");
  fs::create_directory_symlink(root_ / "one", root_ / "three");
  const SearchRequest request{
      .files = {root_ / "one/x.esp.so"},
      .path_variable = (root_ / "two").string() + ":" + (root_ / "three").string() + ":" + (root_ / "one").string()};
  EXPECT_THAT(found(request), ElementsAre("one/x.esp.so"));
}

TEST_F(Search, reads_the_environment_of_the_process) {
  ::setenv("ESPALIER_PLUGIN_PATH", "/some/where", 1);
  ::setenv("XDG_DATA_HOME", "/data", 1);
  SearchRequest request = request_of_process({"x.esp.so"});
  EXPECT_EQ(request.path_variable, "/some/where");
  EXPECT_EQ(request.user_folder, "/data/espalier/plugins");
  EXPECT_EQ(request.executable, fs::read_symlink("/proc/self/exe"));
  EXPECT_THAT(request.files, ElementsAre("x.esp.so"));
  ::unsetenv("XDG_DATA_HOME");
  ::unsetenv("ESPALIER_PLUGIN_PATH");
  ::setenv("HOME", "/home/nobody", 1);
  request = request_of_process({});
  EXPECT_EQ(request.path_variable, "");
  EXPECT_EQ(request.user_folder, "/home/nobody/.local/share/espalier/plugins");
}

}  // namespace
}  // namespace espalier::plugins
