#include <gmock/gmock.h>

#include <map>
#include <set>

#include "core/data/cache_source.h"
#include "core/data/prefetch.h"
#include "tests/support/tiny_cache.h"

namespace espalier::data {
namespace {

using ::espalier::testing::counting;
using ::espalier::testing::TinyCache;
using ::espalier::testing::user_error;
using ::espalier::testing::write_tiny_cache;
using ::testing::AllOf;
using ::testing::HasSubstr;

bool same(const Batch& a, const Batch& b) {
  if (a.bucket != b.bucket || a.ids != b.ids || a.tensors.size() != b.tensors.size()) return false;
  for (const auto& [name, tensor] : a.tensors)
    if (b.tensors.count(name) == 0 || b.tensors.at(name).shape != tensor.shape || b.tensors.at(name).values != tensor.values)
      return false;
  return true;
}

// Row `i` of a tensor of a batch.
std::vector<float> part(const Batch& batch, const char* name, size_t i) {
  const exec::FloatTensor& tensor = batch.tensors.at(name);
  const size_t size = tensor.values.size() / static_cast<size_t>(tensor.shape[0]);
  const auto begin = tensor.values.begin() + static_cast<std::ptrdiff_t>(i * size);
  return {begin, begin + static_cast<std::ptrdiff_t>(size)};
}

class CacheSourceTest : public ::espalier::testing::FolderTest {
 protected:
  CacheOptions make(std::vector<int64_t> rows, int64_t batch_size) const {
    TinyCache what;
    what.rows = std::move(rows);
    write_tiny_cache(folder_ / "c", what);
    CacheOptions options;
    options.folder = folder_ / "c";
    options.batch_size = batch_size;
    options.seed = 7;
    return options;
  }
  // Ids of the rows that `steps` batches of one bucket visit, in order.
  static std::vector<std::string> visits(Source& source, int64_t steps) {
    std::vector<std::string> ids;
    for (int64_t step = 0; step < steps; ++step)
      for (const std::string& id : source.batch(step).ids) ids.push_back(id);
    return ids;
  }
};

TEST_F(CacheSourceTest, batches_hold_the_rows_and_shapes_they_promise) {
  const auto source = open_cache(make({10}, 4));
  ASSERT_EQ(source->buckets().size(), 1u);
  EXPECT_EQ(source->buckets()[0], (BatchShape{4, 2, 2, 3, 2, 4, 5}));
  const Batch batch = source->batch(0);
  const std::map<std::string, Shape> shapes{{"latents", {4, 2, 2, 3}}, {"noise", {4, 2, 2, 3}},
                                            {"timestep", {4}},         {"encoder_hidden_states", {4, 2, 4}},
                                            {"text_embeds", {4, 5}},   {"time_ids", {4, 6}}};
  ASSERT_EQ(batch.tensors.size(), shapes.size());
  for (const auto& [name, shape] : shapes) EXPECT_EQ(batch.tensors.at(name).shape, shape) << name;
  for (size_t i = 0; i < 4; ++i) {
    const auto row = static_cast<float>(std::stoi(batch.ids[i].substr(2)));
    EXPECT_EQ(part(batch, "latents", i), counting(12, 1 + row));
    EXPECT_EQ(part(batch, "encoder_hidden_states", i), counting(8, 100 + row));
    EXPECT_EQ(part(batch, "text_embeds", i), counting(5, 50 + row));
    EXPECT_EQ(part(batch, "time_ids", i), counting(6, 25 + row));
  }
}

TEST_F(CacheSourceTest, a_batch_depends_on_its_step_alone) {
  const CacheOptions options = make({10, 7}, 4);
  const auto in_order = open_cache(options), jumping = open_cache(options);
  std::vector<Batch> batches;
  for (int64_t step = 0; step < 40; ++step) batches.push_back(in_order->batch(step));
  for (const int64_t step : {39, 3, 17, 3, 0, 38})
    EXPECT_TRUE(same(jumping->batch(step), batches[static_cast<size_t>(step)])) << step;
}

TEST_F(CacheSourceTest, each_epoch_visits_each_row_once_in_an_order_of_its_own) {
  const auto source = open_cache(make({10}, 4));
  const std::vector<std::string> ids = visits(*source, 15);  // 60 visits, 6 epochs
  std::set<std::vector<std::string>> orders;
  for (size_t epoch = 0; epoch < 6; ++epoch) {
    const std::vector<std::string> order(ids.begin() + static_cast<std::ptrdiff_t>(epoch * 10),
                                         ids.begin() + static_cast<std::ptrdiff_t>(epoch * 10 + 10));
    EXPECT_EQ(std::set<std::string>(order.begin(), order.end()).size(), 10u) << "epoch " << epoch;
    orders.insert(order);
  }
  EXPECT_EQ(orders.size(), 6u);
}

TEST_F(CacheSourceTest, without_shuffle_rows_come_as_they_are) {
  CacheOptions options = make({5}, 2);
  options.shuffle = false;
  const auto source = open_cache(options);
  EXPECT_THAT(visits(*source, 4), ::testing::ElementsAre("0-00", "0-01", "0-02", "0-03", "0-04", "0-00", "0-01", "0-02"));
}

TEST_F(CacheSourceTest, the_order_of_rows_is_the_same_for_every_batch_size) {
  CacheOptions options = make({10}, 4);
  const auto four = open_cache(options);
  options.batch_size = 3;
  const auto three = open_cache(options);
  EXPECT_EQ(visits(*four, 9), visits(*three, 12));
}

TEST_F(CacheSourceTest, noise_and_timestep_depend_on_seed_id_and_step_alone) {
  CacheOptions options = make({10}, 10);
  const auto ten = open_cache(options);
  options.batch_size = 20;  // each row twice, in other places
  const auto twenty = open_cache(options);
  std::map<std::string, std::pair<std::vector<float>, std::vector<float>>> seen;
  const Batch small = ten->batch(3), large = twenty->batch(3);
  for (size_t i = 0; i < 10; ++i) seen[small.ids[i]] = {part(small, "noise", i), part(small, "timestep", i)};
  for (size_t i = 0; i < 20; ++i) {
    EXPECT_EQ(part(large, "noise", i), seen.at(large.ids[i]).first);
    EXPECT_EQ(part(large, "timestep", i), seen.at(large.ids[i]).second);
  }
  const Batch later = ten->batch(4);
  for (size_t i = 0; i < 10; ++i) EXPECT_NE(part(later, "noise", i), seen.at(later.ids[i]).first) << "another step, other noise";
  EXPECT_NE(part(small, "noise", 0), part(small, "noise", 1)) << "another row, other noise";
  options.batch_size = 10;
  options.seed = 8;
  const Batch other = open_cache(options)->batch(3);
  for (size_t i = 0; i < 10; ++i) EXPECT_NE(part(other, "noise", i), seen.at(other.ids[i]).first) << "another seed, other noise";
}

TEST_F(CacheSourceTest, noise_is_standard_normal_and_timesteps_are_even) {
  CacheOptions options = make({10}, 10);
  options.timesteps = 4;
  const auto source = open_cache(options);
  double sum = 0, squares = 0, count = 0;
  std::map<float, int> timesteps;
  for (int64_t step = 0; step < 200; ++step) {
    const Batch batch = source->batch(step);
    for (const float value : batch.tensors.at("noise").values) sum += value, squares += double{value} * value, ++count;
    for (const float t : batch.tensors.at("timestep").values) ++timesteps[t];
  }
  // 24,000 normal values, 2,000 timesteps: bounds of five standard deviations.
  EXPECT_NEAR(sum / count, 0, 5 / std::sqrt(count));
  EXPECT_NEAR(squares / count, 1, 5 * std::sqrt(2 / count));
  ASSERT_EQ(timesteps.size(), 4u);
  for (const auto& [t, times] : timesteps) EXPECT_NEAR(times, 500, 5 * std::sqrt(2000 * 0.25 * 0.75)) << t;
}

TEST_F(CacheSourceTest, buckets_take_turns_in_proportion_each_within_one_batch_of_its_share) {
  const std::vector<int64_t> rows{12, 5, 1};
  const auto source = open_cache(make(rows, 2));
  ASSERT_EQ(source->buckets().size(), 3u);
  std::vector<double> turns(3);
  std::map<std::string, int> visited;
  for (int64_t step = 0; step < 54; ++step) {
    const Batch batch = source->batch(step);
    turns[batch.bucket] += 1;
    for (const std::string& id : batch.ids) {
      EXPECT_EQ(id.substr(0, 2), std::to_string(batch.bucket) + "-");
      ++visited[id];
    }
    for (size_t b = 0; b < 3; ++b)
      EXPECT_NEAR(turns[b], static_cast<double>((step + 1) * rows[b]) / 18, 1) << "bucket " << b << " after step " << step;
  }
  for (const auto& [id, times] : visited) EXPECT_EQ(times, 6) << id;  // 54 batches of 2 over 18 rows
}

TEST_F(CacheSourceTest, held_out_rows_are_in_no_training_batch_and_all_in_validation) {
  CacheOptions options = make({20, 10}, 4);
  options.validation_rows = 9;
  const auto source = open_cache(options);
  EXPECT_EQ(source->rows(), 21);
  std::set<std::string> held_out, trained;
  for (int64_t i = 0; i < source->validation_batches(); ++i)
    for (const std::string& id : source->validation_batch(i).ids) held_out.insert(id);
  for (int64_t step = 0; step < 60; ++step)
    for (const std::string& id : source->batch(step).ids) trained.insert(id);
  EXPECT_EQ(held_out.size(), 9u);
  EXPECT_EQ(trained.size(), 21u);
  for (const std::string& id : held_out) EXPECT_EQ(trained.count(id), 0u) << id;
}

TEST_F(CacheSourceTest, validation_is_the_same_for_every_seed_and_has_no_dropout) {
  CacheOptions options = make({20}, 4);
  options.validation_rows = 6;
  const auto source = open_cache(options);
  options.seed = 99;
  options.caption_dropout = 1;
  const auto other = open_cache(options);
  ASSERT_EQ(source->validation_batches(), 2);
  for (int64_t i = 0; i < 2; ++i) EXPECT_TRUE(same(source->validation_batch(i), other->validation_batch(i)));
}

TEST_F(CacheSourceTest, a_last_validation_batch_is_filled_with_further_noise) {
  CacheOptions options = make({20}, 4);
  options.validation_rows = 6;
  const auto source = open_cache(options);
  const Batch first = source->validation_batch(0), last = source->validation_batch(1);
  EXPECT_EQ(last.ids[2], first.ids[0]);
  EXPECT_EQ(part(last, "latents", 2), part(first, "latents", 0));
  EXPECT_NE(part(last, "noise", 2), part(first, "noise", 0));
}

TEST_F(CacheSourceTest, held_out_rows_are_spread_over_the_ids) {
  CacheOptions options = make({40}, 4);
  options.validation_rows = 4;
  std::vector<int> parts;
  for (const std::string& id : open_cache(options)->validation_batch(0).ids) parts.push_back(std::stoi(id.substr(2)) / 10);
  EXPECT_THAT(parts, ::testing::ElementsAre(0, 1, 2, 3));
}

TEST_F(CacheSourceTest, caption_dropout_replaces_embeddings_and_leaves_sizes) {
  CacheOptions options = make({10}, 10);
  const auto without = open_cache(options);
  options.caption_dropout = 0.25;
  const auto with = open_cache(options);
  int dropped = 0;
  for (int64_t step = 0; step < 100; ++step) {
    const Batch plain = without->batch(step), batch = with->batch(step);
    for (const char* name : {"latents", "noise", "timestep", "time_ids"})
      EXPECT_EQ(batch.tensors.at(name).values, plain.tensors.at(name).values) << name;
    for (size_t i = 0; i < 10; ++i) {
      const bool is_dropped = part(batch, "encoder_hidden_states", i) == counting(8, -9);
      dropped += is_dropped ? 1 : 0;
      EXPECT_EQ(part(batch, "text_embeds", i), is_dropped ? counting(5, -19) : part(plain, "text_embeds", i));
      if (!is_dropped) {
        EXPECT_EQ(part(batch, "encoder_hidden_states", i), part(plain, "encoder_hidden_states", i));
      }
    }
  }
  EXPECT_NEAR(dropped, 250, 5 * std::sqrt(1000 * 0.25 * 0.75));
}

TEST_F(CacheSourceTest, a_cache_without_pooled_has_neither_of_its_tensors) {
  TinyCache what;
  what.pooled = 0;
  write_tiny_cache(folder_ / "sd", what);
  CacheOptions options;
  options.folder = folder_ / "sd";
  const auto source = open_cache(options);
  const Batch batch = source->batch(0);
  EXPECT_EQ(batch.tensors.size(), 4u);
  EXPECT_EQ(source->buckets()[0].pooled, 0);
}

TEST_F(CacheSourceTest, refuses_options_that_cannot_be_all_at_once) {
  CacheOptions options = make({10}, 0);
  options.caption_dropout = 1.5;
  options.validation_rows = 10;
  EXPECT_THAT(user_error([&] { open_cache(options); }),
              AllOf(HasSubstr("batch_size is 0"), HasSubstr("caption_dropout"), HasSubstr("from 0 to 9")));
}

TEST_F(CacheSourceTest, describe_says_what_was_kept_and_held_out) {
  CacheOptions options = make({10, 3}, 4);
  options.validation_rows = 2;
  options.caption_dropout = 0.1;
  std::string text;
  for (const std::string& line : open_cache(options)->describe()) text += line + "\n";
  EXPECT_THAT(text, AllOf(HasSubstr("13 rows found, 11 kept for training, 2 held out"), HasSubstr("bucket 2x3x3"),
                          HasSubstr("rows repeat within one"), HasSubstr("10%")));
}

TEST_F(CacheSourceTest, prefetched_batches_are_bitwise_those_of_the_source) {
  CacheOptions options = make({10, 7}, 4);
  options.validation_rows = 3;
  const auto plain = open_cache(options);
  const auto ahead = prefetch(open_cache(options), 3);
  for (int64_t step = 0; step < 20; ++step) {
    EXPECT_TRUE(same(ahead->batch(step), plain->batch(step))) << step;
    EXPECT_TRUE(same(ahead->validation_batch(0), plain->validation_batch(0)));
  }
  for (const int64_t step : {5, 5, 100, 6, 7}) EXPECT_TRUE(same(ahead->batch(step), plain->batch(step))) << step;
}

// Fails at one step.
class Failing final : public Source {
 public:
  const std::vector<BatchShape>& buckets() const override { return buckets_; }
  Batch batch(int64_t step) override {
    if (step == 3) throw UserError("step 3 is broken");
    return {0, {}, {std::to_string(step)}};
  }
  int64_t validation_batches() const override { return 0; }
  Batch validation_batch(int64_t) override { return {}; }
  int64_t rows() const override { return 1; }
  std::vector<std::string> describe() const override { return {}; }

 private:
  std::vector<BatchShape> buckets_;
};

TEST(Prefetch, an_error_reaches_the_caller_of_its_step_and_no_other) {
  const auto ahead = prefetch(std::make_unique<Failing>(), 8);
  for (int64_t step = 0; step < 8; ++step) {
    if (step == 3) {
      EXPECT_EQ(user_error([&] { ahead->batch(step); }), "step 3 is broken");
    } else {
      EXPECT_EQ(ahead->batch(step).ids[0], std::to_string(step));
    }
  }
}

TEST(Prefetch, ends_while_batches_are_being_made) {
  for (int i = 0; i < 50; ++i) {
    const auto ahead = prefetch(std::make_unique<Failing>(), 2);
    if (i % 2 == 0) ahead->batch(i);
  }
}

}  // namespace
}  // namespace espalier::data
