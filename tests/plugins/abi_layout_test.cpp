// The ABI's structs and constants are laid out as recorded, in C and in C++ alike. A difference is a break of the ABI: it
// needs a new ABI minor (a new major once it is stable), and then a new tests/plugins/abi_layout.txt.

#include <espalier/backend.h>
#include <espalier/calibration.h>
#include <espalier/graph.h>
#include <espalier/host.h>
#include <espalier/loss.h>
#include <espalier/metric.h>
#include <espalier/plugin.h>
#include <espalier/prune.h>
#include <gtest/gtest.h>

#include <cstddef>
#include <string>
#include <vector>

#include "core/base/files.h"

extern "C" int abi_layout_in_c(char* out, size_t capacity);

namespace espalier {
namespace {

std::string layout_in_cpp() {
  std::string out;
  const auto add = [&](const std::string& line) { out += line + '\n'; };
#define LAYOUT_STRUCT(type) add(#type " " + std::to_string(sizeof(type)));
#define LAYOUT_FIELD(type, field) \
  add("  " #field " " + std::to_string(offsetof(type, field)) + " " + std::to_string(sizeof(type::field)));
#define LAYOUT_CONSTANT(name) add(#name " " + std::to_string(name));
#include "abi_layout.inc"
  return out;
}

TEST(AbiLayout, is_as_recorded) {
  const std::string recorded = read_text(ESPALIER_SOURCE_DIR "/tests/plugins/abi_layout.txt");
  EXPECT_EQ(layout_in_cpp(), recorded);
}

TEST(AbiLayout, is_one_in_c_and_cpp) {
  std::vector<char> text(1 << 17);
  const int size = abi_layout_in_c(text.data(), text.size());
  ASSERT_LT(static_cast<size_t>(size), text.size());
  EXPECT_EQ(std::string(text.data()), layout_in_cpp());
}

}  // namespace
}  // namespace espalier
