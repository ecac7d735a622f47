# The broker needs a Host: the fake network's, built here because the fuzz preset builds no tests.
set(support ${PROJECT_SOURCE_DIR}/tests/support)
culvert_fuzz(mqtt_broker
  SOURCES mqtt_broker_fuzz.cc mqtt_broker_mutator.cc ${support}/fake_host.cc ${support}/fake_net.cc
          ${support}/fake_stream.cc
  LINK culvert_mqtt_broker culvert_net culvert_nat)
