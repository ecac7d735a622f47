# The server needs a Host: the fake network's, built here because the fuzz preset builds no tests.
set(support ${PROJECT_SOURCE_DIR}/tests/support)
culvert_fuzz(http_session
  SOURCES http_session_fuzz.cc ${support}/fake_host.cc ${support}/fake_net.cc ${support}/fake_stream.cc
  LINK culvert_http culvert_net culvert_nat)
culvert_fuzz(websocket_frames SOURCES websocket_frames_fuzz.cc LINK culvert_http culvert_net)
