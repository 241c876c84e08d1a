#include "core/base/files.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>

#include "core/base/error.h"
#include "core/base/sha256.h"

namespace espalier {
namespace {

namespace fs = std::filesystem;

class Files : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "espalier-files-XXXXXX").string();
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
  }
  void TearDown() override { fs::remove_all(folder_); }
  std::vector<std::string> listing() const {
    std::vector<std::string> names;
    for (const auto& entry : fs::recursive_directory_iterator(folder_))
      names.push_back(fs::relative(entry.path(), folder_).string());
    std::sort(names.begin(), names.end());
    return names;
  }
  fs::path folder_;
};

template <typename Call>
std::string error_of(Call call) {
  try {
    call();
  } catch (const UserError& error) {
    return error.what();
  }
  return "no error";
}

using Names = std::vector<std::string>;

TEST_F(Files, a_published_file_has_every_byte_and_nothing_lies_beside_it) {
  std::string text(3'000'001, 'x');
  text[2'500'000] = 'y';
  AtomicFile file(folder_ / "out.bin");
  file.write(std::string_view(text).substr(0, 10));
  file.write(std::string_view(text).substr(10));
  EXPECT_FALSE(fs::exists(folder_ / "out.bin"));
  file.publish();
  EXPECT_EQ(read_text(folder_ / "out.bin"), text);
  EXPECT_EQ(listing(), Names{"out.bin"});
  EXPECT_EQ(file.written_bytes(), text.size());
}

TEST_F(Files, an_abandoned_file_leaves_the_old_one_and_no_made_parents) {
  write_text(folder_ / "kept", "old");
  {
    AtomicFile file(folder_ / "kept");
    file.write("new");
    AtomicFile deep(folder_ / "a" / "b" / "c");
    deep.write("x");
    EXPECT_TRUE(fs::exists(folder_ / "a" / "b"));
  }
  EXPECT_EQ(read_text(folder_ / "kept"), "old");
  EXPECT_EQ(listing(), Names{"kept"});
}

TEST_F(Files, an_existing_file_is_replaced_or_refused_as_asked) {
  write_text(folder_ / "f", "1");
  write_text(folder_ / "f", "2");
  EXPECT_EQ(read_text(folder_ / "f"), "2");
  EXPECT_EQ(error_of([&] { AtomicFile(folder_ / "f", Existing::kRefuse); }),
            (folder_ / "f").string() + " exists; choose another or remove it");
  AtomicFile late(folder_ / "g", Existing::kRefuse);
  write_text(folder_ / "g", "came first");
  EXPECT_EQ(error_of([&] { late.publish(); }), (folder_ / "g").string() + " exists; choose another or remove it");
  EXPECT_EQ(read_text(folder_ / "g"), "came first");
  EXPECT_EQ(error_of([&] { AtomicFile(folder_ / ""); }), folder_.string() + "/: a file name is needed here");
  EXPECT_EQ(error_of([&] { AtomicFile file(folder_); }), folder_.string() + ": is a folder, a file name is needed here");
}

TEST_F(Files, a_link_is_replaced_and_what_it_points_to_is_untouched) {
  write_text(folder_ / "target", "untouched");
  fs::create_symlink("target", folder_ / "link");
  write_text(folder_ / "link", "new");
  EXPECT_EQ(read_text(folder_ / "target"), "untouched");
  EXPECT_FALSE(fs::is_symlink(folder_ / "link"));
}

TEST_F(Files, a_folder_appears_whole) {
  AtomicFolder out(folder_ / "student");
  fs::create_directory(out.path() / "unet");
  write_text(out.path() / "unet" / "config.json", "{}");
  write_text(out.path() / "plan.toml", "format = 1\n");
  EXPECT_EQ(out.path().filename().string().rfind(".student.tmp-", 0), 0U);
  EXPECT_FALSE(fs::exists(folder_ / "student"));
  out.publish();
  EXPECT_EQ(listing(), (Names{"student", "student/plan.toml", "student/unet", "student/unet/config.json"}));
}

TEST_F(Files, an_abandoned_folder_leaves_nothing) {
  {
    AtomicFolder out(folder_ / "a" / "b" / "student");
    write_text(out.path() / "x", "1");
  }
  EXPECT_EQ(listing(), Names{});
}

TEST_F(Files, an_existing_folder_with_content_is_refused_and_an_empty_one_is_taken) {
  fs::create_directory(folder_ / "full");
  write_text(folder_ / "full" / "x", "1");
  fs::create_directory(folder_ / "empty");
  write_text(folder_ / "file", "1");
  for (const char* name : {"full", "file"})
    EXPECT_EQ(error_of([&] { AtomicFolder out(folder_ / name); }),
              (folder_ / name).string() + " exists; choose another or remove it");
  AtomicFolder out(folder_ / "empty" / "");
  write_text(out.path() / "y", "1");
  out.publish();
  EXPECT_EQ(read_text(folder_ / "empty" / "y"), "1");
}

TEST_F(Files, a_folder_that_fills_meanwhile_is_not_replaced) {
  AtomicFolder out(folder_ / "late");
  write_text(out.path() / "mine", "1");
  write_text(folder_ / "late" / "theirs", "1");
  EXPECT_EQ(error_of([&] { out.publish(); }), (folder_ / "late").string() + " exists; choose another or remove it");
  EXPECT_EQ(read_text(folder_ / "late" / "theirs"), "1");
}

TEST_F(Files, what_a_dead_writer_left_is_removed_and_a_living_ones_is_kept) {
  const pid_t dead = ::fork();
  if (dead == 0) ::_exit(0);
  ASSERT_EQ(::waitpid(dead, nullptr, 0), dead);
  fs::create_directories(folder_ / (".out.tmp-" + std::to_string(dead) + "-0badcafe") / "deep");
  fs::create_directory(folder_ / (".out.tmp-" + std::to_string(::getpid()) + "-0badcafe"));
  fs::create_directory(folder_ / ".out.tmp-mine");
  { const AtomicFolder out(folder_ / "out"); }
  EXPECT_EQ(listing(), (Names{".out.tmp-" + std::to_string(::getpid()) + "-0badcafe", ".out.tmp-mine"}));
}

// In a child that is not root, to whom permissions mean nothing.
TEST_F(Files, a_folder_without_permission_says_so) {
  fs::create_directory(folder_ / "locked");
  fs::permissions(folder_ / "locked", static_cast<fs::perms>(0555));
  fs::permissions(folder_, static_cast<fs::perms>(0755));
  const auto child = [&] {
    constexpr uid_t kNobody = 65534;
    if (::geteuid() == 0 && ::setuid(kNobody) != 0) ::_exit(2);
    const std::string file = error_of([&] { AtomicFile(folder_ / "locked" / "f"); });
    const std::string folder = error_of([&] { AtomicFolder(folder_ / "locked" / "d"); });
    const bool right = file == (folder_ / "locked" / "f").string() + ": cannot create: Permission denied" &&
                       folder == (folder_ / "locked" / "d").string() + ": cannot create: Permission denied";
    if (!right) std::fprintf(stderr, "%s\n%s\n", file.c_str(), folder.c_str());
    ::_exit(right ? 7 : 1);
  };
  EXPECT_EXIT(child(), testing::ExitedWithCode(7), "");
  fs::permissions(folder_ / "locked", fs::perms::owner_all);
}

TEST_F(Files, a_file_in_the_way_of_a_parent_is_named) {
  write_text(folder_ / "file", "1");
  EXPECT_EQ(error_of([&] { AtomicFolder(folder_ / "file" / "out"); }),
            (folder_ / "file" / "out").string() + ": cannot create: Not a directory");
  EXPECT_EQ(error_of([&] { AtomicFolder(folder_ / "file" / "a" / "out"); }),
            (folder_ / "file" / "a").string() + ": cannot make the folder: Not a directory");
}

TEST_F(Files, a_write_that_fails_names_the_file_and_leaves_nothing) {
  const auto child = [&] {
    rlimit limit{};
    limit.rlim_cur = limit.rlim_max = 1'500'000;
    ::setrlimit(RLIMIT_FSIZE, &limit);
    ::signal(SIGXFSZ, SIG_IGN);
    const std::string error = error_of([&] {
      AtomicFile file(folder_ / "big");
      file.write(std::string(4'000'000, 'x'));
    });
    const bool right = error == (folder_ / "big").string() + ": cannot write after 1.43 MiB: File too large";
    if (!right) std::fprintf(stderr, "%s\n", error.c_str());
    ::_exit(right && listing().empty() ? 7 : 1);
  };
  EXPECT_EXIT(child(), testing::ExitedWithCode(7), "");
}

TEST_F(Files, space_is_asked_for_before_anything_is_written) {
  const std::string error = error_of([&] { AtomicFile(folder_ / "huge", Existing::kReplace, uint64_t{1} << 60); });
  EXPECT_NE(error.find(": not enough space on this volume: need 1048576.00 TiB, free "), std::string::npos) << error;
  EXPECT_EQ(listing(), Names{});
}

TEST_F(Files, reading_refuses_what_is_not_a_regular_file_of_fitting_size) {
  EXPECT_EQ(error_of([&] { read_text(folder_ / "absent"); }),
            (folder_ / "absent").string() + ": cannot open: No such file or directory");
  EXPECT_EQ(error_of([&] { read_text(folder_); }), folder_.string() + ": is a folder, a file is needed");
  ASSERT_EQ(::mkfifo((folder_ / "fifo").c_str(), 0600), 0);
  EXPECT_EQ(error_of([&] { read_text(folder_ / "fifo"); }), (folder_ / "fifo").string() + ": is not a regular file");
  EXPECT_EQ(error_of([&] { read_text("/dev/zero"); }), "/dev/zero: is not a regular file");
  write_text(folder_ / "long", std::string(2049, 'x'));
  EXPECT_EQ(error_of([&] { read_text(folder_ / "long", 2048); }),
            (folder_ / "long").string() + ": has 2.00 KiB, the limit for such a file is 2.00 KiB");
}

TEST_F(Files, sha256_matches_the_published_vectors) {
  EXPECT_EQ(sha256_hex(std::string_view("")), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(sha256_hex(std::string_view("abc")), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  std::ofstream(folder_ / "a") << std::string(1'000'000, 'a');
  EXPECT_EQ(sha256_of_file(folder_ / "a"), "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

}  // namespace
}  // namespace espalier
