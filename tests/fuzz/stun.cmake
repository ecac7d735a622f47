culvert_fuzz(stun SOURCES stun_fuzz.cc LINK culvert_stun)
