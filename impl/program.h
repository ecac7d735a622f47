// The frame of every program's main: descriptors 0 to 2 are there, and what nobody caught is one
// sentence and status 1, not an abort; and a file that may be anything. Stands on model/net.
#pragma once

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cstdio>
#include <exception>
#include <memory>
#include <string>

#include "model/net/error.h"

namespace culvert {

// A stream that was closed before the start becomes /dev/null. Else the first socket or TUN would
// get its number, and events would go out there as packets.
inline void keep_standard_streams() {
  int fd = 0;
  do {
    fd = ::open("/dev/null", O_RDWR);
  } while (fd >= 0 && fd <= STDERR_FILENO);
  if (fd >= 0) ::close(fd);
}

// Shells give 1024 descriptors where 20,000 and more are allowed.
inline void raise_descriptor_limit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

// The program's exit status. `name` for the sentence on stderr.
template <class Body>
int run_program(const char* name, Body body) {
  keep_standard_streams();
  raise_descriptor_limit();
  try {
    return body();
  } catch (const std::exception& error) {  // no memory, no descriptors: nothing that input explains
    std::fprintf(stderr, "%s: %s\n", name, error.what());
    return 1;
  }
}

// A whole file of at most `most` bytes. A folder opens like a file and only fails when it is read.
inline net::Result<std::string> read_file(const std::string& path, size_t most) {
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "rbe"),
                                                             std::fclose);
  std::string text;
  char piece[4096];
  for (size_t size; file && (size = std::fread(piece, 1, sizeof piece, file.get())) > 0;) {
    text.append(piece, size);
    if (text.size() > most) return {net::Error::invalid, path + " is too large"};
  }
  if (!file || std::ferror(file.get()))
    return {net::Error::not_found, "cannot read " + path + ": " + strerror(errno)};
  return text;
}

}  // namespace culvert
