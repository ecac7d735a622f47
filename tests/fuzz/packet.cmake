culvert_fuzz(packet SOURCES ${CMAKE_CURRENT_SOURCE_DIR}/packet_fuzz.cc LINK culvert_packet)
