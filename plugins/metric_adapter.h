#pragma once
#include <memory>

#include "core/train/metric.h"
#include "plugins/loader.h"

namespace espalier::plugins {

/// A metric of an accepted plugin as validation sees it. Errors: those of its `create`.
std::unique_ptr<train::MetricStrategy> make_metric(const Component& component, const ParamValues& params);

}  // namespace espalier::plugins
