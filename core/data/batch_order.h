#pragma once
// Which rows make up the batch of a step, when every batch is of one bucket.

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace espalier::data {

/// Guarantees: `at` is a pure function of the step. A bucket's rows form an endless stream, epoch after epoch, each a permutation
/// of all its rows by (seed, bucket, epoch), or the rows as they are without `shuffle`; its batches are cut from that stream, so
/// that it is the same stream for every batch size. Buckets take turns in proportion to their rows, each within one batch of its
/// share. A bucket without rows has no turn.
/// Cost: memory for one turn each per row at most, and two epochs' permutations.
class BatchOrder {
 public:
  BatchOrder(std::vector<int64_t> rows_of_bucket, int64_t batch, uint64_t seed, bool shuffle);

  struct Place {
    size_t bucket = 0;
    std::vector<int64_t> rows;  // of that bucket, as many as a batch has
  };
  Place at(int64_t step);

 private:
  struct Turn {
    size_t bucket;
    int64_t count;  // of this bucket's turns before it
  };
  struct Epoch {
    int64_t number = -1;
    std::vector<int64_t> order;
  };
  int64_t row(size_t bucket, int64_t position);

  std::vector<int64_t> rows_, turns_of_bucket_;
  int64_t batch_;
  uint64_t seed_;
  bool shuffle_;
  std::vector<Turn> turns_;                   // one period
  std::vector<std::array<Epoch, 2>> epochs_;  // remembered: a batch may straddle two
};

}  // namespace espalier::data
