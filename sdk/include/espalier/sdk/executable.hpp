// What a partition of calls becomes on a backend that is a table of kernels.
#ifndef ESPALIER_SDK_EXECUTABLE_HPP
#define ESPALIER_SDK_EXECUTABLE_HPP

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <map>
#include <memory>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "espalier/backend.h"
#include "espalier/sdk/common.hpp"
#include "espalier/sdk/kernels.hpp"

namespace esp {
inline namespace v0 {

namespace detail {

/// Whether no operand or result is in the arena, where memory has several owners one after another.
template <class Calls>
bool outside_arena(const Calls& calls) {
  const auto inside = [](const esp_place& place) { return place.space == ESP_SPACE_ARENA; };
  for (const auto& call : calls)
    if (std::any_of(call.inputs.begin(), call.inputs.end(), inside) ||
        std::any_of(call.outputs.begin(), call.outputs.end(), inside))
      return false;
  return true;
}

/// For each call, how many calls one after another it has to wait for: those that write what it reads or writes, or read what it
/// writes. Calls of one rank do not depend on each other.
template <class Calls>
std::vector<size_t> ranks(const Calls& calls) {
  struct Use {
    size_t written = 0, read = 0;  // rank after the last call that did
  };
  std::map<std::pair<int32_t, uint64_t>, Use> uses;
  std::vector<size_t> ranks;
  for (const auto& call : calls) {
    size_t rank = 0;
    for (const esp_place& place : call.inputs) rank = std::max(rank, uses[{place.space, place.at}].written);
    for (const esp_place& place : call.outputs) {
      const Use& use = uses[{place.space, place.at}];
      rank = std::max({rank, use.written, use.read});
    }
    for (const esp_place& place : call.inputs) {
      Use& use = uses[{place.space, place.at}];
      use.read = std::max(use.read, rank + 1);
    }
    for (const esp_place& place : call.outputs) uses[{place.space, place.at}].written = rank + 1;
    ranks.push_back(rank);
  }
  return ranks;
}

/// Equal for nodes with equal attributes.
inline std::string attribute_text(const esp_node& node) {
  std::string text;
  for (uint64_t i = 0; i < node.attr_count; ++i) {
    const esp_attr& a = node.attrs[i];
    text += std::string(view(a.name)) + '=';
    char number[40];
    switch (a.kind) {
      case ESP_ATTR_FLOAT:
        std::snprintf(number, sizeof number, "%a", a.float_value);
        text += number;
        break;
      case ESP_ATTR_STRING:
        text += view(a.string_value);
        break;
      case ESP_ATTR_INTS:
        for (uint64_t k = 0; k < a.count; ++k) text += std::to_string(a.ints[k]) + ',';
        break;
      default:
        text += std::to_string(a.int_value);
    }
    text += ';';
  }
  return text;
}

}  // namespace detail

/// A compiled partition: prepared steps and the places of their operands.
template <class Device>
class table_executable {
 public:
  table_executable(Device& device, const esp_partition& partition)
      : device_(device), timed_(partition.flags & ESP_COMPILE_TIMED) {
    std::vector<const kernel<Device>*> chosen;
    for (uint64_t i = 0; i < partition.call_count; ++i) {
      const esp_call& call = partition.calls[i];
      const node n(call.node);
      chosen.push_back(Device::kernels().choose(device, n, device.prefer(), [](auto...) {}));
      if (!chosen.back()) throw invalid("no kernel for " + std::string(n.op()) + " at " + std::string(n.path()));
      Compiled compiled;
      compiled.inputs.assign(call.inputs, call.inputs + call.node.input_count);
      compiled.outputs.assign(call.outputs, call.outputs + call.node.output_count);
      compiled.workspace_offset = call.workspace_offset;
      calls_.push_back(std::move(compiled));
    }
    times_.assign(calls_.size(), 0.0);
    if (!timed_ &&
        std::all_of(chosen.begin(), chosen.end(), [](const kernel<Device>* k) { return k->prepare_many != nullptr; }) &&
        detail::outside_arena(calls_))
      prepare_many(partition, chosen);
    else
      for (size_t i = 0; i < calls_.size(); ++i) calls_[i].work = chosen[i]->prepare(device, node(partition.calls[i].node));
  }

  void run(const esp_bindings& bindings) {
    const typename Device::run_scope scope(device_);
    if constexpr (kRecords) {
      if (!timed_ && replayed(bindings)) return finish();
    }
    start(bindings);
    finish();
    if constexpr (kRecords) repeatable_ = device_.can_record();
  }
  bool timed() const { return timed_; }
  const std::vector<double>& times() const { return times_; }

 private:
  struct Compiled {
    std::unique_ptr<step<Device>> work;
    std::vector<esp_place> inputs, outputs;
    uint64_t workspace_offset = 0;
  };
  struct Many {
    std::unique_ptr<step_of_many<Device>> work;
    std::vector<size_t> calls;
  };
  static constexpr bool kRecords = requires { typename Device::recording; };
  template <class D, bool Records>
  struct recording_of {
    using type = int;
  };
  template <class D>
  struct recording_of<D, true> {
    using type = typename D::recording;
  };
  using Recording = typename recording_of<Device, kRecords>::type;

  /// Operands of a call in one run, with the memory that they are listed in.
  struct Bound {
    std::vector<const void*> in;
    std::vector<void*> out;
    std::vector<typename Device::param*> params;
    void* workspace = nullptr;
    operands<Device> view() const { return {in.data(), out.data(), params.data(), workspace}; }
  };
  static void bind(const Compiled& call, const esp_bindings& bindings, Bound& bound) {
    auto* arena = static_cast<char*>(bindings.arena);
    bound.in.assign(call.inputs.size(), nullptr);
    bound.params.assign(call.inputs.size(), nullptr);
    bound.out.assign(call.outputs.size(), nullptr);
    for (size_t k = 0; k < call.inputs.size(); ++k) {
      const esp_place& place = call.inputs[k];
      if (place.space == ESP_SPACE_PARAM)
        bound.params[k] = reinterpret_cast<typename Device::param*>(bindings.params[place.at]);
      else
        bound.in[k] = locate(place, arena, bindings);
    }
    for (size_t k = 0; k < call.outputs.size(); ++k)
      bound.out[k] = const_cast<void*>(locate(call.outputs[k], arena, bindings));  // results are the run's to write
    bound.workspace = arena + call.workspace_offset;
  }

  /// Calls that do not wait for one another, by kernel and attributes, as one step each.
  void prepare_many(const esp_partition& partition, const std::vector<const kernel<Device>*>& chosen) {
    const std::vector<size_t> ranks = detail::ranks(calls_);
    std::map<std::tuple<size_t, size_t, std::string>, std::vector<size_t>> groups;  // in an order that addresses do not decide
    std::map<const kernel<Device>*, size_t> numbers;
    for (size_t i = 0; i < calls_.size(); ++i) {
      const size_t number = numbers.try_emplace(chosen[i], numbers.size()).first->second;
      groups[{ranks[i], number, detail::attribute_text(partition.calls[i].node)}].push_back(i);
    }
    for (auto& [key, calls] : groups) {
      std::vector<node> nodes;
      for (size_t i : calls) nodes.emplace_back(partition.calls[i].node);
      auto work = chosen[calls.front()]->prepare_many(device_, nodes);
      many_.push_back({std::move(work), std::move(calls)});
    }
  }

  void start(const esp_bindings& bindings) {
    for (const Many& many : many_) {
      std::vector<Bound> bound(many.calls.size());
      std::vector<operands<Device>> views;
      for (size_t i = 0; i < bound.size(); ++i) {
        bind(calls_[many.calls[i]], bindings, bound[i]);
        views.push_back(bound[i].view());
      }
      many.work->run(device_, views);
    }
    if (!many_.empty()) return;
    Bound bound;
    for (size_t i = 0; i < calls_.size(); ++i) {
      bind(calls_[i], bindings, bound);
      const auto begin = std::chrono::steady_clock::now();
      calls_[i].work->run(device_, bound.view());
      if (!timed_) continue;
      finish();
      times_[i] = std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - begin).count();
    }
  }

  /// Replays the recording of an earlier run with the same operands; makes it where the run before this one could have been
  /// recorded. False when this run is to be started step by step.
  bool replayed(const esp_bindings& bindings) {
    std::vector<const void*> now = places_of(bindings);
    if (now != recorded_places_) {
      recording_.reset();
      repeatable_ = false;
      recorded_places_ = std::move(now);
    }
    if (!recording_ && repeatable_) {
      device_.begin_recording();
      try {
        start(bindings);
        recording_ = device_.end_recording();
      } catch (...) {
        device_.give_up_recording();
        throw;
      }
    }
    if (recording_) device_.replay(*recording_);
    return recording_ != nullptr;
  }
  /// Every address that a run depends on.
  std::vector<const void*> places_of(const esp_bindings& bindings) const {
    std::vector<const void*> places{bindings.arena};
    const auto add = [&](const esp_place& place) {
      if (place.space == ESP_SPACE_PARAM)
        places.push_back(bindings.params[place.at]);
      else if (place.space != ESP_SPACE_ARENA)
        places.push_back(locate(place, nullptr, bindings));
    };
    for (const Compiled& call : calls_) {
      for (const esp_place& place : call.inputs) add(place);
      for (const esp_place& place : call.outputs) add(place);
    }
    return places;
  }

  void finish() {
    if constexpr (requires { device_.finish_run(); }) device_.finish_run();
  }
  static const void* locate(const esp_place& place, const char* arena, const esp_bindings& bindings) {
    switch (place.space) {
      case ESP_SPACE_ARENA:
        return arena + place.at;
      case ESP_SPACE_INPUT:
        return bindings.inputs[place.at];
      case ESP_SPACE_OUTPUT:
        return bindings.outputs[place.at];
      case ESP_SPACE_CONSTANT:
        return bindings.constants[place.at];
      default:
        return nullptr;
    }
  }
  Device& device_;
  bool timed_;
  std::vector<Compiled> calls_;
  std::vector<Many> many_;  // of all calls, where each has a kernel for many
  std::vector<double> times_;
  bool repeatable_ = false;  // the last run only gave work to the device
  std::unique_ptr<Recording> recording_;
  std::vector<const void*> recorded_places_;
};

}  // namespace v0
}  // namespace esp
#endif
