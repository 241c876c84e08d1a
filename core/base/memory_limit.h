#pragma once
// How much memory this process has used and may use.

#include <cstdint>

namespace espalier {

/// Bytes that can be had now without swapping: the system's available memory, or what is left of the control group's limit or of
/// the process's own (`ulimit -v`).
uint64_t available_memory_bytes();
/// Resident size of this process now.
uint64_t resident_memory_bytes();
/// Hands memory that was freed back to the system, where small pieces of it lie between what is in use.
void release_freed_memory();
/// Largest resident size of this process so far.
uint64_t peak_memory_bytes();

}  // namespace espalier
