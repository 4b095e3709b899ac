{
  "targets": [
    {
      "target_name": "kcp_udp",
      "sources": ["udp.c"],
      "defines": ["NAPI_VERSION=8", "_GNU_SOURCE"],
      "cflags": ["-std=c11", "-O2", "-Wall", "-Wextra", "-Wno-unused-parameter"]
    }
  ]
}
