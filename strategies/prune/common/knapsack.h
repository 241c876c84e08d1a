#pragma once
// Which items of the highest total price fit a room.

#include <cmath>
#include <cstddef>
#include <vector>

namespace strategies {

/// 0/1 knapsack by dynamic programming over the room in 8,192 parts; weights are rounded up, so that what is chosen fits. Prices
/// and weights are not negative. Cost: items x 8,192.
inline std::vector<bool> fill_room(const std::vector<double>& prices, const std::vector<double>& weights, double room) {
  constexpr size_t kParts = 8192;
  std::vector<size_t> parts;
  for (const double weight : weights)
    parts.push_back(weight <= 0 ? 0 : weight > room ? kParts + 1 : static_cast<size_t>(std::ceil(weight / room * kParts)));
  std::vector<double> best(kParts + 1, 0);
  std::vector<std::vector<bool>> taken(prices.size(), std::vector<bool>(kParts + 1, false));
  for (size_t i = 0; i < prices.size(); ++i)
    for (size_t left = kParts + 1; left-- > parts[i];)
      if (best[left - parts[i]] + prices[i] > best[left]) {
        best[left] = best[left - parts[i]] + prices[i];
        taken[i][left] = true;
      }
  std::vector<bool> chosen(prices.size(), false);
  size_t left = kParts;
  for (size_t i = prices.size(); i-- > 0;)
    if (taken[i][left]) {
      chosen[i] = true;
      left -= parts[i];
    }
  return chosen;
}

}  // namespace strategies
