culvert_fuzz(mqtt SOURCES mqtt_fuzz.cc LINK culvert_mqtt)
