#pragma once
// Signs of life: long work says here that it goes on, for whoever watches the process.

#include <functional>

namespace espalier {

/// `sign` is called, from this thread only, whenever it makes progress: at each part of a task, at each call of an executable.
/// An empty one ends it.
void on_sign_of_life(std::function<void()> sign);

/// This thread goes on. Costs a comparison where nobody watches. [any thread]
void sign_of_life();

}  // namespace espalier
