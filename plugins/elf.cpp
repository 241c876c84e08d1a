#include "plugins/elf.h"

#include <elf.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <optional>

#include "core/base/text.h"

namespace espalier::plugins {
namespace {

#if defined(__x86_64__)
constexpr uint16_t kMachine = EM_X86_64;
#elif defined(__aarch64__)
constexpr uint16_t kMachine = EM_AARCH64;
#elif defined(__riscv)
constexpr uint16_t kMachine = EM_RISCV;
#elif defined(__powerpc64__)
constexpr uint16_t kMachine = EM_PPC64;
#else
#error "name this machine's ELF number"
#endif

constexpr uint64_t kMaxDynamic = 4096;  // entries; real libraries have some thirty

// One open file with bounded reads.
class Reader {
 public:
  explicit Reader(const std::filesystem::path& file) : fd_(::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)) {}
  ~Reader() {
    if (fd_ >= 0) ::close(fd_);
  }
  Reader(const Reader&) = delete;
  Reader& operator=(const Reader&) = delete;
  int fd() const { return fd_; }

  bool read(uint64_t offset, void* to, size_t bytes) const {
    return ::pread(fd_, to, bytes, static_cast<off_t>(offset)) == static_cast<ssize_t>(bytes);
  }
  template <typename T>
  std::optional<T> read(uint64_t offset) const {
    T value;
    return read(offset, &value, sizeof value) ? std::optional<T>(value) : std::nullopt;
  }
  std::string text(uint64_t offset) const {
    char buffer[256] = {};
    const ssize_t got = ::pread(fd_, buffer, sizeof buffer - 1, static_cast<off_t>(offset));
    return got > 0 ? std::string(buffer) : std::string();
  }

 private:
  int fd_;
};

bool inside(uint64_t offset, uint64_t bytes, uint64_t size) { return offset <= size && bytes <= size - offset; }

std::string truncated(uint64_t size, uint64_t need) {
  return "truncated: the file has " + std::to_string(size) + " bytes, its headers name " + std::to_string(need);
}

std::string header_problem(const Elf64_Ehdr& header) {
  if (std::memcmp(header.e_ident, ELFMAG, SELFMAG) != 0) return "not a shared library (no ELF header)";
  if (header.e_ident[EI_CLASS] != ELFCLASS64) return "a 32-bit library, this is a 64-bit process";
  if (header.e_ident[EI_DATA] != ELFDATA2LSB) return "a big-endian library";
  if (header.e_machine != kMachine)
    return "built for another machine (ELF machine " + std::to_string(header.e_machine) + ", this one is " +
           std::to_string(kMachine) + ")";
  if (header.e_type != ET_DYN) return "an ELF file, but not a shared library";
  if (header.e_phentsize != sizeof(Elf64_Phdr)) return "malformed ELF header (program header size)";
  return "";
}

std::string sanitizer_problem(const std::vector<std::string>& needed) {
  for (const std::string& library : needed) {
    if (library.rfind("libasan.", 0) == 0 && !host_has_asan())
      return "built with AddressSanitizer, this espalier is not; rebuild it with the same preset";
    if (library.rfind("libtsan.", 0) == 0 && !host_has_tsan())
      return "built with ThreadSanitizer, this espalier is not; rebuild it with the same preset";
  }
  return "";
}

// Names in DT_NEEDED. Addresses of the dynamic section are turned into file offsets through the loaded segments.
std::vector<std::string> needed_libraries(const Reader& file, const std::vector<Elf64_Phdr>& segments) {
  const auto offset_of = [&](uint64_t address) -> std::optional<uint64_t> {
    for (const Elf64_Phdr& segment : segments)
      if (segment.p_type == PT_LOAD && address >= segment.p_vaddr && address - segment.p_vaddr < segment.p_filesz)
        return segment.p_offset + (address - segment.p_vaddr);
    return std::nullopt;
  };
  std::vector<uint64_t> names;
  std::optional<uint64_t> strings;
  for (const Elf64_Phdr& segment : segments) {
    if (segment.p_type != PT_DYNAMIC) continue;
    for (uint64_t i = 0; i < segment.p_filesz / sizeof(Elf64_Dyn) && i < kMaxDynamic; ++i) {
      const auto entry = file.read<Elf64_Dyn>(segment.p_offset + i * sizeof(Elf64_Dyn));
      if (!entry || entry->d_tag == DT_NULL) break;
      if (entry->d_tag == DT_NEEDED) names.push_back(entry->d_un.d_val);
      if (entry->d_tag == DT_STRTAB) strings = offset_of(entry->d_un.d_ptr);
    }
  }
  std::vector<std::string> out;
  if (strings)
    for (uint64_t name : names) out.push_back(file.text(*strings + name));
  return out;
}

constexpr uint64_t kMaxManifest = 65536, kMaxSymbols = uint64_t{1} << 20;

/// Manifest, dynamic symbols and run path, as the section headers find them. What is not there, or not sound, is left empty.
void read_sections(const Reader& file, const Elf64_Ehdr& header, ElfFacts& facts) {
  if (header.e_shoff == 0 || header.e_shentsize != sizeof(Elf64_Shdr) || header.e_shstrndx >= header.e_shnum) return;
  std::vector<Elf64_Shdr> sections(header.e_shnum);
  if (!file.read(header.e_shoff, sections.data(), sections.size() * sizeof(Elf64_Shdr))) return;
  const Elf64_Shdr& names = sections[header.e_shstrndx];
  for (const Elf64_Shdr& section : sections) {
    if (!inside(section.sh_offset, section.sh_type == SHT_NOBITS ? 0 : section.sh_size, facts.file_bytes)) continue;
    if (file.text(names.sh_offset + section.sh_name) == ".esp_manifest" && section.sh_size <= kMaxManifest) {
      facts.manifest.resize(section.sh_size);
      if (!file.read(section.sh_offset, facts.manifest.data(), section.sh_size)) facts.manifest.clear();
      facts.manifest.resize(std::strlen(facts.manifest.c_str()));  // the section holds a C string
    }
    if (section.sh_link >= sections.size()) continue;
    const uint64_t strings = sections[section.sh_link].sh_offset;
    if (section.sh_type == SHT_DYNSYM && section.sh_entsize == sizeof(Elf64_Sym)) {
      std::vector<Elf64_Sym> symbols(std::min(section.sh_size / sizeof(Elf64_Sym), kMaxSymbols));
      if (!file.read(section.sh_offset, symbols.data(), symbols.size() * sizeof(Elf64_Sym))) continue;
      for (const Elf64_Sym& symbol : symbols) {
        const unsigned bind = ELF64_ST_BIND(symbol.st_info);
        if (symbol.st_shndx == SHN_UNDEF || symbol.st_shndx == SHN_ABS || bind == STB_LOCAL) continue;
        facts.exported.push_back(file.text(strings + symbol.st_name));
        if (bind == STB_GNU_UNIQUE) facts.unique.push_back(facts.exported.back());
      }
    }
    if (section.sh_type == SHT_DYNAMIC)
      for (uint64_t i = 0; i < section.sh_size / sizeof(Elf64_Dyn) && i < kMaxDynamic; ++i)
        if (const auto entry = file.read<Elf64_Dyn>(section.sh_offset + i * sizeof(Elf64_Dyn));
            entry && (entry->d_tag == DT_RPATH || entry->d_tag == DT_RUNPATH))
          facts.run_path = file.text(strings + entry->d_un.d_val);
  }
}

}  // namespace

bool host_has_asan() {
#if defined(__SANITIZE_ADDRESS__)
  return true;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
  return true;
#endif
#endif
  return false;
}

bool host_has_tsan() {
#if defined(__SANITIZE_THREAD__)
  return true;
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
  return true;
#endif
#endif
  return false;
}

ElfFacts examine_library(const std::filesystem::path& path) {
  ElfFacts facts;
  const auto refuse = [&](std::string why) {
    facts.problem = std::move(why);
    return facts;
  };
  const Reader file(path);
  if (file.fd() < 0) return refuse(std::string("cannot be opened: ") + std::strerror(errno));
  struct stat info {};
  if (::fstat(file.fd(), &info) != 0) return refuse(std::string("cannot be examined: ") + std::strerror(errno));
  if (S_ISDIR(info.st_mode)) return refuse("a folder, not a file");
  if (!S_ISREG(info.st_mode)) return refuse("not a regular file");
  if ((info.st_mode & S_IWOTH) != 0) return refuse("anyone may write to it (chmod o-w)");
  facts.file_bytes = static_cast<uint64_t>(info.st_size);
  const auto header = file.read<Elf64_Ehdr>(0);
  if (!header) {
    char start[SELFMAG] = {};
    const bool elf = file.read(0, start, SELFMAG) && std::memcmp(start, ELFMAG, SELFMAG) == 0;
    return refuse(elf ? truncated(facts.file_bytes, sizeof(Elf64_Ehdr)) : "not a shared library (no ELF header)");
  }
  if (std::string problem = header_problem(*header); !problem.empty()) return refuse(std::move(problem));

  const uint64_t program_bytes = uint64_t{header->e_phnum} * sizeof(Elf64_Phdr);
  if (!inside(header->e_phoff, program_bytes, facts.file_bytes))
    return refuse(truncated(facts.file_bytes, header->e_phoff + program_bytes));
  std::vector<Elf64_Phdr> segments(header->e_phnum);
  if (!file.read(header->e_phoff, segments.data(), program_bytes)) return refuse("program headers cannot be read");
  for (const Elf64_Phdr& segment : segments)
    if (segment.p_type == PT_LOAD && !inside(segment.p_offset, segment.p_filesz, facts.file_bytes))
      return refuse(truncated(facts.file_bytes, segment.p_offset + segment.p_filesz));
  const uint64_t section_bytes = uint64_t{header->e_shnum} * header->e_shentsize;
  if (header->e_shoff != 0 && !inside(header->e_shoff, section_bytes, facts.file_bytes))
    return refuse(truncated(facts.file_bytes, header->e_shoff + section_bytes));

  facts.needed = needed_libraries(file, segments);
  for (const Elf64_Phdr& segment : segments)
    if (segment.p_type == PT_GNU_STACK) facts.executable_stack = (segment.p_flags & PF_X) != 0;
  read_sections(file, *header, facts);
  facts.problem = sanitizer_problem(facts.needed);
  return facts;
}

}  // namespace espalier::plugins
