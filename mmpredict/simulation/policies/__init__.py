"""What programs decide that load models on demand: functions of what is seen, which know no clock and start nothing."""
