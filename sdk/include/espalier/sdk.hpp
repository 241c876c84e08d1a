// Everything that a plugin in C++20 needs, header-only: include this and link nothing.
#ifndef ESPALIER_SDK_HPP
#define ESPALIER_SDK_HPP

#include "espalier/sdk/common.hpp"
#include "espalier/sdk/loss.hpp"
#include "espalier/sdk/metric.hpp"
#include "espalier/sdk/params.hpp"
#include "espalier/sdk/plugin.hpp"
#include "espalier/sdk/prune.hpp"

#endif
