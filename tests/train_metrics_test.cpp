// metrics.jsonl and the TensorBoard event file: what is in them, and cutting them back.

#include "core/train/metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "core/base/error.h"
#include "core/train/event_file.h"
#include "core/train/optimizer.h"

namespace espalier::train {
namespace {

namespace fs = std::filesystem;

class MetricsTest : public ::testing::Test {
 protected:
  MetricsTest() : folder_(fs::temp_directory_path() / ("espalier_metrics_" + std::to_string(getpid()))) {
    fs::remove_all(folder_);
    fs::create_directories(folder_);
  }
  ~MetricsTest() override { fs::remove_all(folder_); }
  std::string bytes(const std::string& file) const {
    std::ifstream in(folder_ / file, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  fs::path folder_;
};

TEST(EventFile, crc32c_is_that_of_rfc_3720) {
  EXPECT_EQ(crc32c("123456789"), 0xe3069283U);
  EXPECT_EQ(crc32c(std::string(32, '\0')), 0x8a9136aaU);
  EXPECT_EQ(crc32c(std::string(32, '\xff')), 0x62a8ab43U);
}

/// The payloads of a file of records, both checksums of each checked.
std::vector<std::string> records(const std::string& file) {
  const auto masked = [](uint32_t crc) { return ((crc >> 15) | (crc << 17)) + 0xa282ead8U; };
  std::vector<std::string> payloads;
  for (size_t at = 0; at < file.size();) {
    uint64_t length = 0;
    uint32_t of_length = 0, of_payload = 0;
    std::memcpy(&length, file.data() + at, 8);
    std::memcpy(&of_length, file.data() + at + 8, 4);
    EXPECT_EQ(of_length, masked(crc32c(file.substr(at, 8))));
    payloads.push_back(file.substr(at + 12, length));
    std::memcpy(&of_payload, file.data() + at + 12 + length, 4);
    EXPECT_EQ(of_payload, masked(crc32c(payloads.back())));
    at += 16 + length;
  }
  return payloads;
}

TEST(EventFile, a_record_holds_step_tag_and_value) {
  const std::vector<std::string> got = records(event_file_header(1.5) + event_record(2.5, 300, {{"loss", 0.25f}}));
  ASSERT_EQ(got.size(), 2u);
  EXPECT_NE(got[0].find("brain.Event:2"), std::string::npos);
  // Event: wall_time (1, double), step (2, varint 300), summary (5) → value (1) → tag (1), simple_value (2, float).
  std::string want("\x09", 1);
  const double wall = 2.5;
  want.append(reinterpret_cast<const char*>(&wall), 8);
  want += std::string("\x10\xac\x02", 3) + std::string("\x2a\x0d", 2) + std::string("\x0a\x0b", 2) +
          std::string("\x0a\x04loss\x15", 7);
  const float value = 0.25f;
  want.append(reinterpret_cast<const char*>(&value), 4);
  EXPECT_EQ(got[1], want);
}

TEST_F(MetricsTest, numbers_read_back_as_the_same_f32) {
  {
    Metrics metrics(folder_, {});
    metrics.row(7, {{"total", 0.1f}, {"a \"quoted\" name", std::nextafterf(1.0f, 2.0f)}, {"tiny", 1e-38f}}, {{"lr", 1.0f}});
  }
  const auto row = nlohmann::json::parse(bytes("metrics.jsonl"));
  EXPECT_EQ(row["step"], 7);
  EXPECT_EQ(static_cast<float>(row["total"].get<double>()), 0.1f);
  EXPECT_EQ(static_cast<float>(row["a \"quoted\" name"].get<double>()), std::nextafterf(1.0f, 2.0f));
  EXPECT_EQ(static_cast<float>(row["tiny"].get<double>()), 1e-38f);
  EXPECT_FALSE(row.contains("lr")) << "extra scalars are for TensorBoard";
  EXPECT_NE(records(bytes("tensorboard/events.out.tfevents.espalier"))[1].find("lr"), std::string::npos);
}

TEST_F(MetricsTest, no_key_breaks_a_row) {
  const std::string broken = "no UTF-8: \xff";
  const std::string line = metrics_line(3, {{"a\nb\tc\x01", 1.0f}, {broken, 2.0f}, {"ü \\ \"", 3.0f}});
  EXPECT_EQ(std::count(line.begin(), line.end(), '\n'), 1) << "the row's own";
  const auto row = nlohmann::json::parse(line);
  EXPECT_EQ(row["a\nb\tc\x01"], 1.0);
  EXPECT_EQ(row["ü \\ \""], 3.0);
  EXPECT_EQ(row.size(), 4u);
}

TEST_F(MetricsTest, both_files_are_cut_back_to_a_mark) {
  MetricsMark mark;
  {
    Metrics metrics(folder_, {});
    metrics.row(0, {{"total", 1.0f}});
    mark = metrics.mark();
    metrics.row(1, {{"total", 2.0f}});
  }
  { Metrics metrics(folder_, mark); }
  EXPECT_EQ(bytes("metrics.jsonl"), "{\"step\":0,\"total\":1}\n");
  EXPECT_EQ(records(bytes("tensorboard/events.out.tfevents.espalier")).size(), 2u);
  EXPECT_THROW(Metrics(folder_, {.jsonl_bytes = 1000}), UserError) << "a file that is shorter than its mark is of another run";
}

TEST(LearningRate, warms_up_then_follows_its_schedule) {
  const OptimizerSpec spec{.lr = 2.0};
  const LrSchedule constant{.use = "constant", .warmup = 4}, cosine{.use = "cosine", .warmup = 4, .final_share = 0.1};
  EXPECT_DOUBLE_EQ(learning_rate(spec, constant, 0, 100), 0.5);
  EXPECT_DOUBLE_EQ(learning_rate(spec, constant, 3, 100), 2.0);
  EXPECT_DOUBLE_EQ(learning_rate(spec, constant, 99, 100), 2.0);
  EXPECT_DOUBLE_EQ(learning_rate(spec, cosine, 4, 104), 2.0);
  EXPECT_DOUBLE_EQ(learning_rate(spec, cosine, 54, 104), 2.0 * (0.1 + 0.9 / 2));
  EXPECT_DOUBLE_EQ(learning_rate(spec, cosine, 104, 104), 0.2);
}

TEST(EmaDecay, is_that_of_diffusers_at_every_update) {
  // EMAModel(decay=0.999).get_decay(t) of diffusers 0.42, which `step` calls with t = 1 at the first update.
  for (const auto& [t, decay] : std::vector<std::pair<int64_t, double>>{{1, 0.0},
                                                                        {2, 0.18181818181818182},
                                                                        {3, 0.25},
                                                                        {10, 0.5263157894736842},
                                                                        {100, 0.9174311926605505},
                                                                        {8990, 0.9989998888765418},
                                                                        {8992, 0.999},
                                                                        {1'000'000, 0.999}})
    EXPECT_DOUBLE_EQ(ema_decay(0.999, t), decay) << "update " << t;
}

}  // namespace
}  // namespace espalier::train
