#include "core/data/batch_order.h"

#include <numeric>
#include <string>

#include "core/base/error.h"
#include "core/base/rng.h"

namespace espalier::data {

// Of a period of T turns a bucket has m. Its turn j falls due between j·T/m and (j+1)·T/m: of those whose time has begun, the one
// that ends first is taken. That keeps every bucket within one turn of its share, without any state between periods.
// Source: Baruah, Cohen, Plaxton, Varvel, "Proportionate progress: a notion of fairness in resource allocation", Algorithmica 15.
BatchOrder::BatchOrder(std::vector<int64_t> rows_of_bucket, int64_t batch, uint64_t seed, bool shuffle)
    : rows_(std::move(rows_of_bucket)), batch_(batch), seed_(seed), shuffle_(shuffle), epochs_(rows_.size()) {
  int64_t divisor = 0, period = 0;
  for (const int64_t rows : rows_) divisor = std::gcd(divisor, rows);
  ESP_CHECK(divisor > 0 && batch_ > 0);
  for (const int64_t rows : rows_) period += turns_of_bucket_.emplace_back(rows / divisor);
  std::vector<int64_t> taken(rows_.size());
  for (int64_t turn = 0; turn < period; ++turn) {
    size_t first = rows_.size();
    int64_t first_end = 0;
    for (size_t bucket = 0; bucket < rows_.size(); ++bucket) {
      const int64_t turns = turns_of_bucket_[bucket];
      if (turns == 0 || taken[bucket] * period >= turns * (turn + 1)) continue;
      const int64_t end = ((taken[bucket] + 1) * period + turns - 1) / turns;
      if (first == rows_.size() || end < first_end) first = bucket, first_end = end;
    }
    turns_.push_back({first, taken[first]++});
  }
}

BatchOrder::Place BatchOrder::at(int64_t step) {
  ESP_CHECK(step >= 0);
  const auto period = static_cast<int64_t>(turns_.size());
  const Turn& turn = turns_[static_cast<size_t>(step % period)];
  const int64_t first = (step / period * turns_of_bucket_[turn.bucket] + turn.count) * batch_;
  Place place{turn.bucket, {}};
  for (int64_t i = 0; i < batch_; ++i) place.rows.push_back(row(turn.bucket, first + i));
  return place;
}

int64_t BatchOrder::row(size_t bucket, int64_t position) {
  const int64_t rows = rows_[bucket], number = position / rows;
  if (!shuffle_) return position % rows;
  Epoch& epoch = epochs_[bucket][static_cast<size_t>(number % 2)];
  if (epoch.number != number) {  // Fisher and Yates
    epoch.number = number;
    epoch.order.resize(static_cast<size_t>(rows));
    std::iota(epoch.order.begin(), epoch.order.end(), int64_t{0});
    const uint64_t stream = rng::stream_of("order of bucket " + std::to_string(bucket));
    for (auto i = static_cast<uint64_t>(rows - 1); i > 0; --i) {
      const double draw = rng::uniform(seed_, stream, (static_cast<uint64_t>(number) << 32) + i);
      std::swap(epoch.order[i], epoch.order[static_cast<size_t>(draw * static_cast<double>(i + 1))]);
    }
  }
  return epoch.order[static_cast<size_t>(position % rows)];
}

}  // namespace espalier::data
