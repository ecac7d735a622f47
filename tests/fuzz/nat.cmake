culvert_fuzz(nat SOURCES ${CMAKE_CURRENT_SOURCE_DIR}/nat_fuzz.cc LINK culvert_nat)
